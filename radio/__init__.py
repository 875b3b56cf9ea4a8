"""The radio: sidelink PHY, layer 2, devices and the RF emulator. Knows nothing of keys or identities."""
