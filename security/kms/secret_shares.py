"""The passphrase of a KMS's master secrets in share files: n keepers have one each, and any m of the files open it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from security.at_rest.atomic_file import write_synced
from security.kms.secret_sharing import MAX_SHARES, combine_shares, split_secret
from security.kms_wire.errors import KmsProtocolError, SecretShareError
from security.kms_wire.protocol import Message, Uri, decode, encode

MAX_SHARE_FILE_OCTETS: Final = 8192
SET_OCTETS: Final = 8
CHECK_OCTETS: Final = 8
SHARED_PASSPHRASE_OCTETS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SharePlan:
    """The place of the share files, their number, and the number needed."""

    folder: Path
    threshold: int
    shares: int


class ShareFile(Message):
    """One keeper's share. `check` finds a damaged file: it is a hash of the rest."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    kms: Uri
    share_set: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    threshold: Annotated[int, Field(ge=2, le=MAX_SHARES)]
    shares: Annotated[int, Field(ge=2, le=MAX_SHARES)]
    index: Annotated[int, Field(ge=1, le=MAX_SHARES)]
    share: Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$", max_length=2048, repr=False)]
    check: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] = "0" * 16

    def expected_check(self) -> str:
        """The right value of `check`."""
        return hashlib.sha256(encode(self.model_copy(update={"check": "0" * 16}))).hexdigest()[: 2 * CHECK_OCTETS]


def write_share_files(passphrase: bytes, folder: Path, *, kms_uri: str, threshold: int, shares: int) -> list[Path]:
    """Split a passphrase into new files share-1.json .. share-n.json, mode 0600; raises SecretShareError."""
    split = split_secret(passphrase, threshold=threshold, shares=shares, random=secrets.token_bytes)
    share_set = secrets.token_hex(SET_OCTETS)
    paths = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for index, share in split.items():
            form = ShareFile(
                kms=kms_uri, share_set=share_set, threshold=threshold, shares=shares, index=index, share=share.hex()
            )
            path = folder / f"share-{index}.json"
            write_synced(path, encode(form.model_copy(update={"check": form.expected_check()})), mode=0o600)
            paths.append(path)
    except OSError as exc:
        raise SecretShareError(f"{exc.filename or folder}: {exc.strerror}") from exc
    return paths


def passphrase_of_shares(paths: Sequence[Path], *, kms_uri: str) -> bytes:
    """The passphrase from these share files. Raises SecretShareError."""
    forms = {form.index: form for form in (_read(path) for path in paths)}
    first = next(iter(forms.values()))
    if any(form.kms != kms_uri for form in forms.values()):
        raise SecretShareError(f"a share is not one of KMS {kms_uri}")
    if any((form.share_set, form.threshold) != (first.share_set, first.threshold) for form in forms.values()):
        raise SecretShareError("the shares are of different sets")
    if len(forms) < first.threshold:
        raise SecretShareError(f"{first.threshold} different shares are needed, {len(forms)} given")
    return combine_shares({index: bytes.fromhex(form.share) for index, form in forms.items()})


def _read(path: Path) -> ShareFile:
    try:
        with path.open("rb") as file:
            form = decode(ShareFile, file.read(MAX_SHARE_FILE_OCTETS))
    except OSError as exc:
        raise SecretShareError(f"{path}: {exc.strerror}") from exc
    except KmsProtocolError as exc:
        raise SecretShareError(f"{path}: {exc}") from exc
    if form.check != form.expected_check():
        raise SecretShareError(f"{path}: the share is damaged")
    return form
