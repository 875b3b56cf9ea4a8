"""What the KMS and its clients say to each other: forms, errors, TLS."""
