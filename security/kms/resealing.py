"""A new seal for a KMS: a fresh passphrase seals the master secrets, and only shares of it are kept."""

from __future__ import annotations

import secrets
from pathlib import Path

from security.kms.audit import Detail
from security.kms.home import KmsHome, Opened
from security.kms.home_files import PASSPHRASE_FILE
from security.kms.interception_shares import share_for_interception
from security.kms.sealed_secrets import INTERCEPTION_PART, seal_secrets
from security.kms.secret_shares import SHARED_PASSPHRASE_OCTETS, write_share_files
from security.kms.service import KmsService
from security.kms_wire.errors import InterceptError


def split_secrets(
    home: KmsHome, service: KmsService, *, passphrase: bytes, folder: Path, threshold: int, shares: int
) -> list[Path]:
    """Seal the secrets anew: any `threshold` of `shares` share files open the KMS, the old passphrase does not.

    If operators' shares opened the KMS, the new ones also replace them for interception. If its passphrase alone did,
    operators keep their shares, and the new ones can't be used for interception. The home's own passphrase file is
    removed. Earlier copies of the database, backups included, still open with the old passphrase. Raises SealError,
    SecretShareError, KmsConfigError.
    """
    opened = home.open_secrets(passphrase)
    fresh = secrets.token_bytes(SHARED_PASSPHRASE_OCTETS)
    uri = service.authority.domain.uri
    paths = write_share_files(fresh, folder, kms_uri=uri, threshold=threshold, shares=shares)
    with service.database.begin() as records:
        interception = opened.interception or records.sealed_part(INTERCEPTION_PART) is None
        records.replace_sealed_secrets(seal_secrets(opened, fresh, interception=interception))
        if interception:
            records.put_sealed_part(INTERCEPTION_PART, None)
        detail: Detail = {"threshold": threshold, "shares": shares, "interception": interception}
        service.audit(records, actor="operator", action="split-secrets", subject=uri, detail=detail)
    (home.folder / PASSPHRASE_FILE).unlink(missing_ok=True)
    return paths


def renew_interception_shares(
    service: KmsService, opened: Opened, folder: Path, *, threshold: int, shares: int
) -> list[Path]:
    """Make new share files for interception at a KMS that a passphrase opens; earlier ones become useless.

    Raises InterceptError if there are shares and the secrets were opened without them, or if a split KMS's own shares
    serve already; SecretShareError, KmsConfigError.
    """
    uri = service.authority.domain.uri
    with service.database.begin() as records:
        held = records.sealed_part(INTERCEPTION_PART) is not None
        if held and not opened.by_operators:
            raise InterceptError(
                "there are shares for interception already; new ones need them: give each with --share"
            )
        if not held and opened.by_operators:
            raise InterceptError("this KMS opens by shares only; those serve for interception as well")
        paths, sealed = share_for_interception(opened.secrets, folder, kms_uri=uri, threshold=threshold, shares=shares)
        records.put_sealed_part(INTERCEPTION_PART, sealed)
        detail = {"threshold": threshold, "shares": shares}
        service.audit(records, actor="operator", action="share-for-interception", subject=uri, detail=detail)
    return paths
