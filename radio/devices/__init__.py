"""Radios behind one port: USRPs, SoapySDR devices and recordings, and the registry that opens them."""
