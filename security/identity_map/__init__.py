"""The identity map: a KMS's signed statements of whom a telephone number leads to."""
