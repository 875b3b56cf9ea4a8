"""What every link profile shares: links, state machines, timers, limits, events, and the port `LinkProfile`."""
