"""Bench gear on serial lines: attenuators and GPS-disciplined oscillators."""
