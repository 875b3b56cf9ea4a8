"""Runs of several UEs: a Stage of processes, a Cell in one process, and the run folder of both."""
