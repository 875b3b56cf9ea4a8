"""Carriers of PC5 signalling other than the direct link."""
