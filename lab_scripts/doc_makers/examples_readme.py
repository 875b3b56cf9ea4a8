"""The text that goes with the MIKEY-SAKKE examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_HEAD = """\
# Worked MIKEY-SAKKE messages

Binary I_MESSAGEs of RFC 6509 (RFC 3830, 6043, 6507, 6508; identifiers also as in TS 33.180), to the
octet, with every key and every intermediate value. They are made from fixed test keys by
`python -m lab_scripts.doc_makers.mikey_examples`, and `--check` makes them anew, compares, and
verifies each by the definitions of the RFCs, without the fast algorithms of this project. The keys
protect nothing: any reader can make them.

| file | what |
|---|---|
| `NAME.bin` | the message's octets |
| `NAME.txt` | each octet explained: `pc5lab mikey show NAME.bin --keys keys.json` |
| `examples.json` | inputs (SSV, RAND, entropy of the signature) and intermediate values, in hex |
| `keys.json` | public keys of both KMSs, and all users' keys: RSK, SSK, PVT, UID of the key period |
| `kms-secrets.json` | master secrets of both KMSs: KSAK and z |

Open one: `pc5lab mikey open --keys keys.json --in NAME.bin --json`. All messages are of 2026-03-15
12:00:00 UTC.

## The messages
| name | octets | what it shows |
|---|---|---|
"""

_TAIL = """
## Where the values come from
* Two KMSs with different master keys. `kms.one.example` uses RFC 6509's identifier, `2026-03` NUL
  tel URI NUL (scheme 1). `kms.two.example` uses the hashed UID of TS 33.180 F.2.1 with a key period
  of 2592000 s and offset 0 (scheme 2).
* Every fixed value is SHAKE-256 of `pc5lab mikey example: ` and a text: `KSAK of <kms>`,
  `z of <kms>`, `v of <uri>` (160 octets, reduced modulo q-1, plus 1), `RAND of <name>`,
  `SSV of <name>` (16 octets), `entropy of <name>` (32).
* ECCSI's nonce is j = HMAC-SHA-512(SSK, 01 || 00000020 || entropy || 4-octet length || message) mod
  (q-1) + 1. How a signer draws j is its own affair; a verifier never needs it.
* The signature covers HDR up to and including the two octets of the SIGN header (RFC 3830 5.2).

## Names in `examples.json`
`HS`, `HE`, `Y`, `Jx`, `r`, `s` are those of RFC 6507 5.2; `r_sakke` is r of RFC 6508 6.2.1, `mask`
is HashToIntegerRange(g^r, 2^128), `H` = SSV xor mask, `w` = <R, RSK>. `TEK_cs_N`, `auth_cs_N`,
`salt_cs_N` are RFC 3830's keys of crypto session N from the SSV as TGK: 16, 20 and 14 octets.

## Traps these messages catch
* `leading-zeros`: g^r is hashed with its full 128 octets, H is written with its full 16, r and s
  with their full 32. Implementations that drop leading zero octets fail here and on one message in
  256 of all implementations.
* `two-kms`: the identifier in the signature follows the initiator's KMS, the one in SAKKE the
  responder's. The ID scheme octet of the SAKKE payload is that of the responder's KMS.
* `mcx-*`: the UIDs in the IDRs say nothing unless the receiver computes the same ones.
* `srtp-id-sha1`: the PRF of the header decides the derived keys, CERT is carried and covered by the
  signature.
* `profile-*`: extension 245 ties the message to the octets it came in; an opener of plain messages
  may ignore it.
"""


def readme(entries: Sequence[dict[str, Any]]) -> str:
    """README.md of the set."""
    rows = "".join(f"| `{entry['name']}` | {entry['octets']} | {entry['title']} |\n" for entry in entries)
    return _HEAD + rows + _TAIL
