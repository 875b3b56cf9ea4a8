"""The access layer: one radio access technology behind one port, samples on one side and PDUs on the other."""
