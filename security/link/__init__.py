"""The security context of a link: the key ladder of TS 33.303, and protection of its PDUs."""
