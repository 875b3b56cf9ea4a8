"""The ProSe direct link: discovery, PC5 signalling, carriers, user plane, and the UE that joins them."""
