"""Secrets at rest: a passphrase makes a key (scrypt), the key seals octets (AES-256-GCM).

scrypt (RFC 7914) makes guessing a passphrase expensive, in time and memory. Its cost and its salt stand in the header
of the sealed octets, so that they can be raised later; a header that asks for more than the limit is refused, so that a
forged file can't exhaust memory. One derivation serves many values: a `Seal` keeps the key.

Every value gets a fresh random nonce (RFC 5116). Header and purpose are authenticated with the ciphertext. So a value
can't be moved to another purpose, such as a discovery key to the place of a signing key, and a changed header is
detected. A wrong passphrase and damaged data can't be told apart; the error names both.

Passphrase files must be readable by their owner only. Their octets are taken as they are, except for one newline at the
end; a byte order mark or CR LF is refused by name, because it would silently change the passphrase.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from security.at_rest.atomic_file import write_synced
from security.at_rest.bounded_file import read_bounded
from security.errors import USAGE, SecurityError

MAX_PASSPHRASE_FILE_OCTETS = 64 * 1024

MAGIC = b"pc5lab-sealed\x01"
SALT_OCTETS = 16
NONCE_OCTETS = 12
DEFAULT_LOG2_N = 15
MAX_LOG2_N = 22
BLOCK_SIZE_R = 8
PARALLELISM_P = 1
MIN_PASSPHRASE_OCTETS = 8
MAX_PASSPHRASE_OCTETS = 1024


class SealError(SecurityError):
    """A sealed file or value can't be opened: wrong passphrase, damaged, or not one of ours."""

    exit_code: ClassVar[int] = USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A key derived from a passphrase once, to seal and open many values.

    Sealed form: MAGIC || log2 N (1) || salt (16) || nonce (12) || ciphertext and tag (RFC 7914, RFC 5116).
    """

    log2_n: int
    salt: bytes
    key: bytes = field(repr=False)

    @classmethod
    def create(cls, passphrase: bytes, *, log2_n: int = DEFAULT_LOG2_N) -> Self:
        """Derive a key with a fresh salt; raises SealError for an unusable passphrase."""
        return cls._derive(passphrase, log2_n, secrets.token_bytes(SALT_OCTETS))

    @classmethod
    def of(cls, sealed: bytes, passphrase: bytes) -> Self:
        """Derive the key that sealed these octets; raises SealError if they are no sealed value."""
        log2_n, salt, _ = _split(sealed)
        return cls._derive(passphrase, log2_n, salt)

    @classmethod
    def _derive(cls, passphrase: bytes, log2_n: int, salt: bytes) -> Self:
        if not MIN_PASSPHRASE_OCTETS <= len(passphrase) <= MAX_PASSPHRASE_OCTETS:
            raise SealError(
                f"the passphrase has {len(passphrase)} octets; {MIN_PASSPHRASE_OCTETS}..{MAX_PASSPHRASE_OCTETS} needed"
            )
        kdf = Scrypt(salt=salt, length=32, n=1 << log2_n, r=BLOCK_SIZE_R, p=PARALLELISM_P)
        return cls(log2_n=log2_n, salt=salt, key=kdf.derive(passphrase))

    def seal(self, plain: bytes, *, purpose: str) -> bytes:
        """Seal octets under a fresh nonce; `purpose` must be the same at opening."""
        header = MAGIC + bytes([self.log2_n]) + self.salt
        nonce = secrets.token_bytes(NONCE_OCTETS)
        return header + nonce + AESGCM(self.key).encrypt(nonce, plain, header + purpose.encode())

    def open(self, sealed: bytes, *, purpose: str) -> bytes:
        """Open what `seal` made for the same purpose; raises SealError."""
        log2_n, salt, rest = _split(sealed)
        if (log2_n, salt) != (self.log2_n, self.salt):
            raise SealError(f"{purpose}: sealed under another key")
        header = sealed[: len(sealed) - len(rest)]
        try:
            return AESGCM(self.key).decrypt(rest[:NONCE_OCTETS], rest[NONCE_OCTETS:], header + purpose.encode())
        except InvalidTag as exc:
            raise SealError(f"{purpose}: wrong passphrase, or the sealed data is damaged") from exc


def _split(sealed: bytes) -> tuple[int, bytes, bytes]:
    """Sealed octets to (log2 N, salt, nonce and ciphertext)."""
    fixed = len(MAGIC) + 1 + SALT_OCTETS
    if len(sealed) < fixed + NONCE_OCTETS + 16 or not sealed.startswith(MAGIC):
        raise SealError("not sealed data of this program, or cut short")
    log2_n = sealed[len(MAGIC)]
    if not 1 <= log2_n <= MAX_LOG2_N:
        raise SealError(f"sealed data asks for scrypt cost 2^{log2_n}; at most 2^{MAX_LOG2_N} is allowed")
    return log2_n, sealed[len(MAGIC) + 1 : fixed], sealed[fixed:]


def passphrase_from_file(path: Path) -> bytes:
    """Read a passphrase file (one trailing newline ignored); raises SealError if unreadable or open to others."""
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            raise SealError(f"passphrase file {path} can be read by others (mode {mode & 0o777:o}); chmod 600 it")
        passphrase = read_bounded(path, MAX_PASSPHRASE_FILE_OCTETS)
    except OSError as exc:
        raise SealError(f"passphrase file {path}: {exc.strerror}") from exc
    for mark, what in ((b"\xef\xbb\xbf", "UTF-8"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")):
        if passphrase.startswith(mark):
            raise SealError(f"passphrase file {path} begins with a byte order mark of {what}: save it without")
    if passphrase.endswith(b"\r\n"):
        raise SealError(f"passphrase file {path} ends its line with CR LF: save it with Unix line ends")
    return passphrase.removesuffix(b"\n")


def make_passphrase_file(path: Path) -> bytes:
    """Write a fresh random passphrase to a new file, mode 0600, and return it; raises SealError if it can't."""
    passphrase = secrets.token_hex(32).encode()
    try:
        write_synced(path, passphrase + b"\n", mode=0o600)
    except OSError as exc:
        raise SealError(f"passphrase file {path}: {exc.strerror}") from exc
    return passphrase
