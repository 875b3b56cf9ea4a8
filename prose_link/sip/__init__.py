"""SIP (RFC 3261), sans-IO: messages, transactions, dialogs and a user agent. Knows no carrier, no PC5 and no radio."""
