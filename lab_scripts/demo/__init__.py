"""The main job: a KMS, the RF emulator and two UEs as separate processes, supervised, reported and recorded."""
