"""The files of a UE: its keys, its record across restarts, and the code that fetches and renews keys."""
