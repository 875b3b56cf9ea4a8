"""The resource grid: numerology, SC-FDMA, reference signals, channel estimation, mapping."""
