"""Signal processing that every radio access technology shares: Fourier, rotation, sequences, bits, modulation."""
