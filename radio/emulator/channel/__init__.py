"""The emulated channel: pure and seeded. What is heard depends on scenario, seed and sample number, on nothing else."""
