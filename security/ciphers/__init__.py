"""128-EEA and 128-EIA algorithms of TS 33.401, with SNOW 3G and ZUC."""
