"""Sidelink synchronisation above the PHY: who is followed, and what this UE transmits for others to follow."""
