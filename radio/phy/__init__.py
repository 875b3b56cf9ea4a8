"""The physical layer: signal processing and channel coding that all technologies share, and LTE's sidelink."""
