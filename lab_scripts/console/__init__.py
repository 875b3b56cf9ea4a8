"""What a person reads while a run goes on: the timeline and the closing summary."""
