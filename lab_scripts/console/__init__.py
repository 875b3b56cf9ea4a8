"""The output for a user during a run: the timeline and the closing summary."""
