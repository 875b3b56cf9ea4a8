"""The emulated channel: pure and seeded. Received samples depend on scenario, seed and sample number only."""
