"""A model of the connection profile's second edition, and the search over it: see README.md beside this file."""
