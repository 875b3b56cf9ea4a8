"""The operators' shares of a single holder's KMS: with them an interception export opens the master secrets."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from security.kms.sealed_secrets import INTERCEPTION_PURPOSE, SealedSecrets, seal_secrets
from security.kms.secret_shares import SHARED_PASSPHRASE_OCTETS, write_share_files

SHARES_FOLDER: Final = "interception-shares"
OPERATORS: Final = 2


def share_for_interception(
    opened: SealedSecrets, folder: Path, *, kms_uri: str, threshold: int = OPERATORS, shares: int = OPERATORS
) -> tuple[list[Path], bytes]:
    """Make new share files, any `threshold` of which open the copy of the secrets that is returned sealed.

    In the database that copy replaces the one before, whose shares open nothing from then on. Raises SecretShareError.
    """
    fresh = secrets.token_bytes(SHARED_PASSPHRASE_OCTETS)
    paths = write_share_files(fresh, folder, kms_uri=kms_uri, threshold=threshold, shares=shares)
    return paths, seal_secrets(opened, fresh, interception=True, purpose=INTERCEPTION_PURPOSE)
