"""Sidelink synchronisation above the PHY: which source is followed, and what this UE transmits for others to follow."""
