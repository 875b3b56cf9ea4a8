"""Makers of the documentation's generated pages; a test holds each page to its maker."""
