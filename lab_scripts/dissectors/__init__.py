"""Scapy layers for the sidelink: MAC, RLC UM, PDCP of SLRBs, PC5-S, PC5_DISCOVERY, MIKEY, Wireshark exported PDUs.

They are written from the specifications, not from the lab's own codecs, so that each checks the other.
"""
