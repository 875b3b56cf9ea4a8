"""The sidelink's physical channels, one file each, and what they carry (TS 36.211 9.3 to 9.6)."""
