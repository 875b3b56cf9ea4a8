"""Resources that the UE selects by itself (transmission mode 2): sensing, grants and the scheduler."""
