"""Secrets on disk: sealed files, bounded reads, and writes that are whole or not at all."""
