"""Scapy layers for the sidelink: MAC, RLC UM, PDCP, PC5-S, PC5_DISCOVERY, MIB-SL, MIKEY, Wireshark exported PDUs.

They are written from the specifications, not from the lab's own codecs, so that each checks the other.
"""
