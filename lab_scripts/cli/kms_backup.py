"""`pc5lab kms backup|restore|split`: a KMS that survives its machine, and that no one person can open alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab_scripts.cli.kms_options import AsJson, Folder, PassphraseFile, ShareFiles, open_service, operator_clocks, tell


def backup(
    folder: Folder,
    out: Annotated[Path, typer.Argument(help="New file for the backup.")],
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Write the whole database to one signed file; master secrets stay sealed, what opens them is not in it.

    Example: pc5lab kms backup lab-kms kms-2026-03-11.backup
    """
    from security.kms.backup import write_backup

    made = write_backup(open_service(folder, passphrase_file, share_files), out)
    report = {"file": str(out), "kms": made.kms, "rows": made.rows, "sha256": made.sha256}
    words = f"backup of {made.kms}: {out}, {made.rows} rows. Keep the passphrase (or shares) as well, apart from it."
    tell(report, words, as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="The backup.")],
    folder: Annotated[Path, typer.Argument(help="New folder of the KMS.")],
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL; default: a SQLite file in the folder.")] = None,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Make a KMS anew from a backup, in any database. Open enrolment tokens are closed.

    Example: pc5lab kms restore kms-2026-03-11.backup new-kms --passphrase-file seal.key
    """
    from security.kms.backup import restore_backup

    _, made = restore_backup(
        file,
        folder,
        database_url=database,
        passphrase_file=passphrase_file,
        share_files=tuple(share_files or ()),
        clocks=operator_clocks(folder),
    )
    typer.echo(f"Revocations ordered after {made.made_at} must be ordered again.", err=True)
    report = {"folder": str(folder), "kms": made.kms, "rows": made.rows, "made_at": made.made_at}
    tell(report, f"KMS {made.kms} is restored in {folder} as of {made.made_at}", as_json=as_json)


def split(
    folder: Folder,
    out: Annotated[Path, typer.Argument(help="Folder for the share files.")],
    threshold: Annotated[int, typer.Option(min=2, max=255, help="How many shares open the KMS.")],
    shares: Annotated[int, typer.Option(min=2, max=255, help="How many shares there are.")],
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Seal the master secrets anew so that M of N share files open them; the passphrase no longer does.

    Give the operators' shares with --share, and the new ones take their place for interception; with the passphrase
    alone, those stay as they are. Example: pc5lab kms split lab-kms shares --threshold 3 --shares 5
    """
    from security.kms.home import KmsHome
    from security.kms.resealing import split_secrets

    service = open_service(folder, passphrase_file, share_files)
    home = KmsHome.open(folder)
    paths = split_secrets(
        home,
        service,
        passphrase=home.passphrase(passphrase_file, tuple(share_files or ())),
        folder=out,
        threshold=threshold,
        shares=shares,
    )
    report = {"threshold": threshold, "shares": [str(path) for path in paths]}
    tell(report, f"{threshold} of the {shares} share files in {out} open the KMS; hand them out", as_json=as_json)
