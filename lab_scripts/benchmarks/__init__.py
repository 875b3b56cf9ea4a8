"""What `pc5lab bench` measures: one file for each bench, the list of them, and the method of timing."""
