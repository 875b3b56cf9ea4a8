"""Scapy layers for the sidelink: MAC, RLC UM, PDCP, PC5-S, PC5_DISCOVERY, MIB-SL, MIKEY, Wireshark exported PDUs.

Those of PC5-S are made from the table of messages, and tests hold them to octets written out by hand. The others are
written from the specifications, not from the lab's own codecs, so that each checks the other.
"""
