"""The faces of the lab: command line, demo, captures, dissectors, reports and benchmarks."""
