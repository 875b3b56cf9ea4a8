"""`pc5lab kms discovery-group`: which users get the discovery keys of a group or a set of restricted codes."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from lab_scripts.cli.kms_options import AsJson, Folder, PassphraseFile, ShareFiles, open_service, tell
from lab_scripts.exit_codes import LabError


def key_set_name(text: str) -> str:
    """The name a key set has at the KMS: a discovery group's 24 bits in hex, given so or as a number, or a code set's.

    Raises LabError where a number has more than 24 bits.
    """
    is_number = re.fullmatch(r"0x[0-9a-fA-F]+|[0-9]+", text) and not re.fullmatch(r"[0-9a-f]{6}", text)
    if not is_number:
        return text
    number = int(text, 0) if text.startswith("0x") else int(text)
    if number >= 1 << 24:
        raise LabError(f"discovery group {text}: not a number of 24 bits, such as 20907 or 0x0051AB")
    return f"{number:06x}"


def discovery_group(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="A discovery group (group_id of its UEs), or the name of a code set.")],
    add: Annotated[list[str] | None, typer.Option(help="User who gets its keys; repeatable.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="User who gets no more of them; repeatable.")] = None,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Choose the users of a discovery group or code set. A user that leaves keeps the keys of the running period.

    Example: pc5lab kms discovery-group lab-kms chess-club --add alice --add bob
    """
    from security.kms.operator_orders import add_to_discovery_group, remove_from_discovery_group

    if not add and not remove:
        raise LabError("name the users that join or leave: --add or --remove")
    name = key_set_name(name)
    service = open_service(folder, passphrase_file, share_files)
    if remove:
        remove_from_discovery_group(service, name, tuple(remove))
    if add:
        add_to_discovery_group(service, name, tuple(add))
    report = {"discovery_group": name, "added": add or [], "removed": remove or []}
    words = f"discovery group {name}: {len(add or ())} added, {len(remove or ())} removed"
    tell(report, words, as_json=as_json)
