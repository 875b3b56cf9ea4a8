"""Findings of a survey on their way to a document: kept on disk, so that a long recording's need no memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.report.survey_document import KINDS, Item, finding_item
from radio.phy.lte.survey.findings import Finding, Survey

_IN_MEMORY_OCTETS = 1 << 20
"""Octets of each kind that are kept in memory before a temporary file takes them."""
_HEAD = 256


class SurveySpool(Mapping[str, Iterator[Item]]):
    """Takes findings; as a mapping it gives the items of the document by kind, each time from the first on.

    `head` holds the first findings of each kind as they came, for pictures. `edit` may change an item before it is
    kept.
    """

    def __init__(self, edit: Callable[[Item], None] | None = None) -> None:
        self.head = Survey()
        self.counts = dict.fromkeys(KINDS, 0)
        self._edit = edit
        self._files: dict[str, IO[str]] = {}

    def take(self, finding: Finding) -> None:
        """Keep one finding. Raises LabError where there is no room on disk."""
        kind, item = finding_item(finding)
        if self._edit is not None:
            self._edit(item)
        if self.counts[kind] < _HEAD:
            self.head.take(finding)
        self.counts[kind] += 1
        if kind not in self._files:
            self._files[kind] = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed with the spool
                max_size=_IN_MEMORY_OCTETS, mode="w+", encoding="utf-8", prefix="pc5lab-survey-"
            )
        try:
            self._files[kind].write(json.dumps(item) + "\n")
        except OSError as error:
            raise LabError(
                f"can't keep what was found in {tempfile.gettempdir()}: {error.strerror or error}",
                hint="TMPDIR names another folder",
                code=ExitCode.FAILED,
            ) from None

    @property
    def n_found(self) -> int:
        """Findings of all kinds."""
        return sum(self.counts.values())

    def __getitem__(self, kind: str) -> Iterator[Item]:
        if kind not in self.counts:
            raise KeyError(kind)
        return self._items(kind)

    def __iter__(self) -> Iterator[str]:
        return iter(self.counts)

    def __len__(self) -> int:
        return len(self.counts)

    def _items(self, kind: str) -> Iterator[Item]:
        file = self._files.get(kind)
        if file is None:
            return
        file.seek(0)
        for line in file:
            yield json.loads(line)
        file.seek(0, 2)

    def close(self) -> None:
        """Delete the temporary files."""
        for file in self._files.values():
            file.close()

    def __enter__(self) -> SurveySpool:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def write_document(out: IO[str], document: Mapping[str, Any]) -> None:
    """Write a document, whose values are iterables of items, as one line of JSON, item by item."""
    out.write("{")
    for k, kind in enumerate(document):
        out.write(f"{', ' if k else ''}{json.dumps(kind)}: [")
        for i, item in enumerate(document[kind]):
            out.write(f"{', ' if i else ''}{json.dumps(item)}")
        out.write("]")
    out.write("}\n")
