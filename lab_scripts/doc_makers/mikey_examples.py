"""Makes docs/mikey-examples: worked binary MIKEY-SAKKE messages from fixed test keys, and verifies them.

Usage: python -m lab_scripts.doc_makers.mikey_examples [--check] [FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from lab_scripts.capture.mikey_dump import explain
from lab_scripts.doc_makers.example_keys import NTP_S, WHEN, ExampleWorld, make_world
from lab_scripts.doc_makers.example_messages import ERROR_NAME, ERROR_TITLE, Example, error_example, examples
from lab_scripts.doc_makers.example_workings import ExampleError, check_leading_zeros, workings
from lab_scripts.doc_makers.examples_readme import readme
from security.errors import SecurityError
from security.keyfile import KeyFile, parse_key_file
from security.mikey import parse_i_message
from security.mikey.opening import open_i_message

FOLDER = Path(__file__).parents[2] / "docs" / "mikey-examples"


def main() -> int:
    """Write the examples, or with --check compare what is there; 0 where all is well, else 1."""
    parser = argparse.ArgumentParser(description="Worked MIKEY-SAKKE examples: make them, or check them.")
    parser.add_argument("--check", action="store_true", help="write nothing, compare and verify")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    if not arguments.check:
        write(arguments.folder)
    try:
        verified = verify(arguments.folder)
    except (ExampleError, SecurityError, OSError) as exc:
        print(f"mikey-examples: {exc}", file=sys.stderr)
        return 1
    print(f"{arguments.folder}: {verified} messages verified by the definitions, all files as made")
    return 0


def write(folder: Path) -> None:
    """Make every file of the set."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in make_files().items():
        (folder / name).write_bytes(content)


def verify(folder: Path) -> int:
    """Compare every file with what is made anew, and open each message with the key file; the number of messages.

    Raises ExampleError, SecurityError, OSError.
    """
    made = make_files()
    present = {path.name for path in folder.iterdir() if path.is_file()}
    if present != set(made):
        raise ExampleError(f"files missing or too many: {', '.join(sorted(present ^ set(made)))}")
    for name, content in made.items():
        if (folder / name).read_bytes() != content:
            raise ExampleError(f"{name} is not what is made anew")
    key_file = parse_key_file((folder / "keys.json").read_bytes())
    for example in examples():
        _check_opening(example, (folder / f"{example.name}.bin").read_bytes(), key_file)
    return len(examples()) + 1


def make_files() -> dict[str, bytes]:
    """File names -> contents. The workings by the definitions are part of it."""
    world = make_world()
    keys = _json(_key_document(world))
    key_file = parse_key_file(keys)
    files = {"keys.json": keys, "kms-secrets.json": _json(_secrets_document(world))}
    entries: list[dict[str, Any]] = []
    for example in examples():
        octets = example.encode(world)
        values = workings(example, octets, world)
        if example.name == "leading-zeros":
            check_leading_zeros(values)
        entries.append(_entry(example, octets, values))
        files |= _message_files(example.name, octets, key_file)
    error = error_example(world)
    entries.append({"name": ERROR_NAME, "title": ERROR_TITLE, "octets": len(error), "error": 10})
    files |= _message_files(ERROR_NAME, error, key_file)
    files["examples.json"] = _json({"time": WHEN.isoformat(), "ntp_s": int(NTP_S), "examples": entries})
    files["README.md"] = readme(entries).encode("ascii")
    return files


def _message_files(name: str, octets: bytes, key_file: KeyFile) -> dict[str, bytes]:
    explained = explain(octets, key_file)
    if explained.problem is not None:
        raise ExampleError(f"{name}: {explained.problem}")
    return {f"{name}.bin": octets, f"{name}.txt": ("\n".join(explained.lines()) + "\n").encode("utf-8")}


def _check_opening(example: Example, octets: bytes, key_file: KeyFile) -> None:
    opened = open_i_message(parse_i_message(octets), key_file)
    if (opened.initiator, opened.responder, opened.ssv) != (example.initiator, example.responder, example.ssv):
        raise ExampleError(f"{example.name} opens to something else")


def _entry(example: Example, octets: bytes, values: dict[str, str]) -> dict[str, Any]:
    return {
        "name": example.name,
        "title": example.title,
        "initiator": example.initiator,
        "responder": example.responder,
        "csb_id": f"{example.csb_id:08x}",
        "rand": example.rand.hex(),
        "entropy": example.entropy.hex(),
        "octets": len(octets),
        "sha256": hashlib.sha256(octets).hexdigest(),
        "values": values,
    }


def _key_document(world: ExampleWorld) -> dict[str, Any]:
    return {
        "source": "fixed test keys of docs/mikey-examples: they protect nothing",
        "kms": [
            {
                "uri": kms.domain.uri,
                "z": kms.domain.z.hex(),
                "kpak": kms.domain.kpak.hex(),
                "uid_format": int(kms.domain.uid_scheme),
                "key_period_s": kms.domain.key_period_s,
                "key_period_offset_s": kms.domain.key_period_offset_s,
            }
            for kms in world.kms
        ],
        "users": [
            {
                "uri": keys.uri,
                "kms": keys.kms_uri,
                "uid": keys.uid.hex(),
                "key_period_no": keys.key_period_no,
                "rsk": keys.rsk.hex(),
                "ssk": keys.ssk.hex(),
                "pvt": keys.pvt.hex(),
            }
            for keys in world.users.values()
        ],
    }


def _secrets_document(world: ExampleWorld) -> dict[str, Any]:
    return {kms.name: {"ksak": kms.ksak.hex(), "z": kms.z_secret.hex()} for kms in world.kms}


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode("ascii")


if __name__ == "__main__":
    sys.exit(main())
