"""Makes the benches importable."""
