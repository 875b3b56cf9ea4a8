"""The D2D proxy: a carrier that lies on direct radio and reaches UEs that direct radio does not (PROFILE 12)."""
