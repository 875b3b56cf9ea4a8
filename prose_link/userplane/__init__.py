"""User traffic of a link: its ends (TUN, processes, scripted transfers), addresses and sessions."""
