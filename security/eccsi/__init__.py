"""ECCSI signatures, RFC 6507, over P-256."""
