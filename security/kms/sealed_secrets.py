"""The sealed secrets of a KMS: master secrets, lab CA's key, audit key and row key; and the means to open them.

They are sealed once or twice:

* under a passphrase in a file (*single holder*: a reader of the file has everything), or under a passphrase of which
  only shares exist, m of n (`kms init --shares`, `kms split`: no one person opens anything);
* a single holder's KMS seals them once more for interception, under a passphrase of which only the operators' shares
  exist: an export opens only that copy.
"""

from __future__ import annotations

from typing import Annotated, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from security.at_rest.sealing import Seal
from security.kms.authority import MasterSecrets
from security.kms.row_tags import RowKey
from security.kms_wire.protocol import Message, decode, encode
from security.kms_wire.tls import LabCa

SEAL_PURPOSE: Final = "KMS master secrets"
INTERCEPTION_PURPOSE: Final = "KMS master secrets for interception"
INTERCEPTION_PART: Final = "interception"


class SealedSecrets(Message):
    """The secrets that are sealed in the database (hex and PEM).

    `row_key` is absent in databases whose rows have no tags. `interception`: whether this copy opens with shares that
    operators hold for interception.
    """

    ksak: Annotated[str, Field(repr=False)]
    z_secret: Annotated[str, Field(repr=False)]
    root: Annotated[str, Field(repr=False)]
    ca_key_pem: Annotated[str, Field(repr=False)]
    audit_key: Annotated[str, Field(repr=False)]
    row_key: Annotated[str, Field(repr=False)] = ""
    interception: bool = False

    @classmethod
    def of(cls, master: MasterSecrets, ca: LabCa, audit_key: Ed25519PrivateKey, row_key: bytes) -> SealedSecrets:
        """Secrets in the form in which they are sealed."""
        return cls(
            ksak=master.ksak.hex(),
            z_secret=master.z_secret.hex(),
            root=master.root.hex(),
            ca_key_pem=ca.key_pem.decode(),
            audit_key=audit_key.private_bytes_raw().hex(),
            row_key=row_key.hex(),
        )

    def master(self) -> MasterSecrets:
        """The master secrets."""
        return MasterSecrets(
            ksak=bytes.fromhex(self.ksak), z_secret=bytes.fromhex(self.z_secret), root=bytes.fromhex(self.root)
        )

    def audit_private_key(self) -> Ed25519PrivateKey:
        """The key that signs audit lines, checkpoints and backups."""
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.audit_key))

    def key_of_rows(self) -> RowKey:
        """The key of the rows' tags."""
        return RowKey(octets=bytes.fromhex(self.row_key))


def seal_secrets(opened: SealedSecrets, passphrase: bytes, *, interception: bool, purpose: str = SEAL_PURPOSE) -> bytes:
    """Seal a KMS's secrets; raises SealError for an unusable passphrase."""
    copy = opened.model_copy(update={"interception": interception})
    return Seal.create(passphrase).seal(encode(copy), purpose=purpose)


def open_secrets(sealed: bytes, passphrase: bytes, *, purpose: str = SEAL_PURPOSE) -> SealedSecrets:
    """Open a KMS's secrets; raises SealError for a wrong passphrase."""
    return decode(SealedSecrets, Seal.of(sealed, passphrase).open(sealed, purpose=purpose))
