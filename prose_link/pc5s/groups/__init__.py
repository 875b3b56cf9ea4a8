"""Group keys over PC5 signalling: the keyer that delivers them and the member that takes them."""
