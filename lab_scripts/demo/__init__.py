"""The main job: a KMS, the RF emulator and two UEs as processes of their own, watched, told and written down."""
