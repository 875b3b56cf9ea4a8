"""The identity map: a KMS's signed statements about the identities of telephone numbers."""
