"""The key management server: it issues identity-based keys, and opens I_MESSAGEs for authorised operators."""
