"""Splitting what opens a KMS: a fresh passphrase seals the master secrets anew, and only shares of it are kept."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from security.kms.home import PASSPHRASE_FILE, KmsHome, seal_secrets
from security.kms.secret_shares import write_share_files
from security.kms.service import KmsService

PASSPHRASE_OCTETS: Final = 32


def split_secrets(
    home: KmsHome, service: KmsService, *, passphrase: bytes, folder: Path, threshold: int, shares: int
) -> list[Path]:
    """Seal anew so that any `threshold` of `shares` share files open the KMS, and the old passphrase no longer does.

    The home's own passphrase file is removed. Backups made before still open with the old passphrase.
    Raises SealError, SecretShareError, KmsConfigError.
    """
    opened = home.open_secrets(passphrase)
    fresh = secrets.token_bytes(PASSPHRASE_OCTETS)
    uri = service.authority.domain.uri
    paths = write_share_files(fresh, folder, kms_uri=uri, threshold=threshold, shares=shares)
    sealed = seal_secrets(opened, fresh)
    with service.database.begin() as records:
        records.replace_sealed_secrets(sealed)
        detail = {"threshold": threshold, "shares": shares}
        service.audit(records, actor="operator", action="split-secrets", subject=uri, detail=detail)
    (home.folder / PASSPHRASE_FILE).unlink(missing_ok=True)
    return paths
