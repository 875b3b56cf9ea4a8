"""Waveforms that `pc5lab phy generate` writes and `pc5lab phy play` sends."""
