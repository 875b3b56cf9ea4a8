"""PC5 signalling on the wire: the table of messages, their elements, the codec and the framing."""
