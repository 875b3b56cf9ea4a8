"""Channel coding: CRC, convolutional and turbo codes with their decoders, rate matching."""
