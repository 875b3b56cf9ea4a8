"""The `ts24334` profile: Signature in the Request, KD encapsulated in the Security Mode Command (TS 24.334 10.4)."""
