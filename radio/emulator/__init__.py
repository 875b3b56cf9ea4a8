"""The RF emulator: a pure, seeded channel and the hub that joins UE processes through it in virtual time."""
