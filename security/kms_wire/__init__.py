"""The protocol between the KMS and its clients: forms, errors, TLS."""
