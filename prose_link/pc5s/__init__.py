"""PC5 signalling of the direct link: messages, codec, state tables and the entity that runs them."""
