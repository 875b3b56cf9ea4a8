"""Numbers of MIKEY's fields and their names, for the Scapy layers."""

NEXT_PAYLOADS = {
    0: "last",
    1: "KEMAC",
    2: "PKE",
    3: "DH",
    4: "SIGN",
    5: "T",
    6: "ID",
    7: "CERT",
    8: "CHASH",
    9: "V",
    10: "SP",
    11: "RAND",
    12: "ERR",
    14: "IDR",
    20: "Key data",
    21: "General Extension",
    26: "SAKKE",
}
"""RFC 3830 6.1; 14: RFC 6043 6.1; 26: RFC 6509 4.1."""
DATA_TYPES = {
    0: "pre-shared",
    1: "pre-shared verification",
    2: "public key",
    3: "public key verification",
    4: "DH initiator",
    5: "DH responder",
    6: "error",
    26: "SAKKE",
}
"""RFC 3830 6.1; 26: RFC 6509 4.1."""
PRFS = {0: "MIKEY-1 (HMAC-SHA-1)", 1: "HMAC-SHA-256"}
MAP_TYPES = {0: "SRTP-ID", 1: "empty", 2: "GENERIC-ID"}
"""RFC 3830 6.1; 1: RFC 4563; 2: RFC 6043 6.1.1."""
SRTP_ID, GENERIC_ID = 0, 2
ID_TYPES = {0: "NAI", 1: "URI"}
ID_ROLES = {
    1: "IDRi",
    2: "IDRr",
    3: "IDRkms",
    4: "IDRpsk",
    5: "IDRapp",
    6: "IDRkmsi",
    7: "IDRkmsr",
    8: "IDRuidi",
    9: "IDRuidr",
}
"""RFC 6043 6.6; 6 and 7: RFC 6509 4.4; 8 and 9: TS 33.180 E.2."""
TIMESTAMPS = {0: "NTP-UTC", 1: "NTP", 2: "counter"}
MAC_ALGORITHMS = {0: "NULL", 1: "HMAC-SHA-1-160", 2: "HMAC-SHA-256-256"}
MAC_OCTETS = {1: 20, 2: 32}
HASHES = {0: "SHA-1", 1: "MD5"}
HASH_OCTETS = {0: 20, 1: 16}
DH_GROUPS = {0: "OAKLEY 5", 1: "OAKLEY 1", 2: "OAKLEY 2"}
DH_OCTETS = {0: 192, 1: 96, 2: 128}
"""RFC 3830 6.4: 1536, 768 and 1024 bits."""
KEY_TYPES = {0: "TGK", 1: "TGK+SALT", 2: "TEK", 3: "TEK+SALT"}
KEY_VALIDITY = {0: "null", 1: "SPI", 2: "interval"}
SIGNATURES = {0: "RSA/PKCS#1/1.5", 1: "RSA/PSS", 2: "ECCSI"}
EXTENSIONS = {0: "vendor ID", 1: "SDP IDs", 7: "MCX key parameters", 245: "pc5lab binding"}
BINDING_KINDS = {
    1: "request",
    2: "accept",
    3: "group",
    4: "rekeying request",
    5: "rekeying response",
    6: "ask for a group's key",
}
