"""Captures: the PDUs that crossed each layer of each UE, as a pcapng file that stock Wireshark opens."""
