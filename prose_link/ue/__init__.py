"""A UE put together: node, bearers, lifecycle, group role, and the runtime, which has the only clock."""
