"""`pc5lab kms discovery-group`: who gets the discovery keys of a group or a set of restricted codes."""

from __future__ import annotations

from typing import Annotated

import typer

from lab_scripts.cli.kms_options import AsJson, Folder, PassphraseFile, ShareFiles, open_service, tell
from lab_scripts.exit_codes import LabError


def discovery_group(
    folder: Folder,
    name: Annotated[
        str, typer.Argument(help="A discovery group's id in 6 hex digits (0051ab), or the name of a code set.")
    ],
    add: Annotated[list[str] | None, typer.Option(help="User who gets its keys; repeatable.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="User who gets no more of them; repeatable.")] = None,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Say who gets DUIK, DUSK and DUCK of a discovery group or code set. Who leaves keeps those of the running period.

    Example: pc5lab kms discovery-group lab-kms chess-club --add alice --add bob
    """
    from security.kms.operator_orders import add_to_discovery_group, remove_from_discovery_group

    if not add and not remove:
        raise LabError("name who joins or leaves: --add or --remove")
    service = open_service(folder, passphrase_file, share_files)
    if remove:
        remove_from_discovery_group(service, name, tuple(remove))
    if add:
        add_to_discovery_group(service, name, tuple(add))
    report = {"discovery_group": name, "added": add or [], "removed": remove or []}
    words = f"discovery group {name}: {len(add or ())} added, {len(remove or ())} removed"
    tell(report, words, as_json=as_json)
