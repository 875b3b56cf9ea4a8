"""The command line `pc5lab`: a file for each command, and `main`, which turns errors into exit codes."""
