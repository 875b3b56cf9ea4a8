"""How UEs are put together for a run: a Stage of processes, a Cell in one process, and what both leave behind."""
