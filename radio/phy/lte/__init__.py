"""LTE's sidelink physical layer (TS 36.211 9, TS 36.212 5.4, TS 36.213 14)."""
