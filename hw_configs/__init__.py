"""Configuration files (TOML) shipped with the lab, read through importlib.resources."""
