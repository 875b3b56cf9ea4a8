"""The benches of `pc5lab bench`: one file for each bench, their list, and the method of timing."""
