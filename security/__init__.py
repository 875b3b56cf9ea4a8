"""Identity-based keys: ECCSI, SAKKE, MIKEY, the KMS, and the contexts that protect a link. Knows nothing of radio."""
