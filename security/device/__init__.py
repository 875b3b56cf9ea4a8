"""What a UE holds: its keys, what it remembers across restarts, and how it fetches and renews them."""
