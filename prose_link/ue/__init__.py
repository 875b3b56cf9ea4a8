"""A whole UE: node, bearers, lifecycle, group role, and the runtime, which has the only clock."""
