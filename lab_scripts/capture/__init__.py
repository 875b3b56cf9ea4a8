"""Captures: what crossed each layer of each UE, as a pcapng file that stock Wireshark opens."""
