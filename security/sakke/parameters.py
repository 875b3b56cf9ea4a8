"""SAKKE parameter set 1, RFC 6509 Appendix A: y^2 = x^3 - 3x over a 1024-bit field, SHA-256, 128-bit SSVs."""

from __future__ import annotations

from gmpy2 import mpz


def _number(digits: str) -> mpz:
    return mpz(int(digits, 16))


P_MODULUS = _number(
    "997abb1f0a563fda65c61198dad0657a416c0ce19cb48261be9ae358b3e01a2ef40aab27e2fc0f1b228730d531a59cb0"
    "e791b39ff7c88a19356d27f4a666a6d0e26c6487326b4cd4512ac5cd65681ce1b6aff4a831852a82a7cf3c521c3c09aa"
    "9f94d6af56971f1ffce3e82389857db080c5df10ac7ace87666d807afea85feb"
)
"""Prime of the field F_p, p = 4q - 1."""
Q_ORDER = _number(
    "265eaec7c2958ff69971846636b4195e905b0338672d20986fa6b8d62cf8068bbd02aac9f8bf03c6c8a1cc354c69672c"
    "39e46ce7fdf222864d5b49fd2999a9b4389b1921cc9ad335144ab173595a07386dabfd2a0c614aa0a9f3cf14870f026a"
    "a7e535abd5a5c7c7ff38fa08e2615f6c203177c42b1eb3a1d99b601ebfaa17fb"
)
"""Order of the subgroup that P generates (1022 bits)."""
P_X = _number(
    "53fc09ee332c29ad0a7990053ed9b52a2b1a2fd60aec69c698b2f204b6ff7cbfb5edb6c0f6ce2308ab10db9030b09e10"
    "43d5f22cdb9dfa55718bd9e7406ce8909760af765dd5bccb337c86548b72f2e1a702c3397a60de74a7c1514dba66910d"
    "d5cfb4cc80728d87ee9163a5b63f73ec80ec46c4967e0979880dc8abeae63895"
)
P_Y = _number(
    "0a8249063f6009f1f9f1f0533634a135d3e82016029906963d778d821e141178f5ea69f4654ec2b9e7f7f5e5f0de55f6"
    "6b598ccf9a140b2e416cff0ca9e032b970dae117ad547c6ccad696b5b7652fe0ac6f1e80164aa989492d979fc5a4d5f2"
    "13515ad7e9cb99a980bdad5ad5bb4636adb9b5706a67dcde75573fd71bef16d7"
)
G_PAIRING = _number(
    "66fc2a432b6ea392148f15867d623068c6a87bd1fb94c41e27fabe658e015a87371e94744c96feda449ae9563f8bc446"
    "cbfda85d5d00ef577072da8f541721beee0faed1828eab90b99dfb0138c7843355df0460b4a9fd74b4f1a32bcafa1ffa"
    "d682c033a7942bcce3720f20b9b7b0403c8cae87b7a0042acde0fab36461ea46"
)
"""g = <P, P>, an element of PF_p in its representation b/a of a + ib."""

PARAMETER_SET = 1
"""The SAKKE params octet of the SAKKE payload (RFC 6509 4.2)."""
FIELD_OCTETS = 128
"""L: every element of F_p and PF_p is hashed and sent with this length (RFC 6508 4)."""
SSV_BITS = 128
SSV_OCTETS = 16
POINT_OCTETS = 1 + 2 * FIELD_OCTETS
SED_OCTETS = POINT_OCTETS + SSV_OCTETS
"""R as 04||x||y, then H (RFC 6508 4)."""
