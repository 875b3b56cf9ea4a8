"""Resource pools and transmit power: which subframes and PRBs a transmission may use (TS 36.213 14)."""
