"""Synchronisation: the search for PSSS and SSSS, time of arrival, tracking."""
