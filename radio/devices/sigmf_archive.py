"""SigMF archives: a tar of recordings, `.sigmf`, also compressed (SigMF 1.2, "Archive").

A recording's metadata is held, its dataset is read as a stream from where it lies in the archive. Nothing is unpacked
to disk, so that names in an archive can do no harm.
"""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from radio.devices.protocol import DeviceError, DeviceNotFound
from radio.text_file import TextError, decode_text

_SUFFIXES = (".sigmf", ".sigmf.gz", ".sigmf.bz2", ".sigmf.xz", ".sigmf.zip", ".sigmf.tar", ".sigmf.zst")
_META, _DATA = ".sigmf-meta", ".sigmf-data"
_MAX_METADATA_OCTETS = 16 << 20
_MAX_MEMBERS = 10_000
_ZSTD = b"\x28\xb5\x2f\xfd"

DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError)
"""Exceptions of the libraries for damaged archives; RuntimeError is for encrypted ones and unknown methods."""

_Opener = Callable[[], BinaryIO | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedRecording:
    """One recording in an archive: its name without suffix, the text of its metadata, and the way to its dataset."""

    name: str
    metadata: str
    _members: dict[str, tuple[_Opener, int]] = field(repr=False)

    def open(self, dataset: str | None) -> tuple[BinaryIO, int]:
        """The dataset as a file, and its octets; `dataset` is the name in the metadata, if there is one."""
        own = str(PurePosixPath(self.name).with_name(dataset)) if dataset else self.name + _DATA
        member = self._members.get(own)
        try:
            file = member[0]() if member else None
        except DAMAGED as error:
            raise DeviceError(f"{own} can't be taken out of its archive: {error}") from None
        if member is None or file is None:
            raise DeviceError(f"{self.name}: the archive has no dataset {own}")
        return file, member[1]


def is_archive(path: Path) -> bool:
    """Whether a file's name is that of a SigMF archive."""
    return path.name.lower().endswith(_SUFFIXES)


def archived_recording(path: Path, name: str | None) -> ArchivedRecording:
    """The one recording of an archive, or the one called `name`. Raises DeviceNotFound, DeviceError."""
    try:
        members = _members(path)
        metas = {member.removesuffix(_META): member for member in members if member.endswith(_META)}
        if not metas:
            raise DeviceError(f"{path} is an archive without SigMF metadata")
        chosen = _chosen(path, list(metas), name)
        opener, octets = members[metas[chosen]]
        if octets > _MAX_METADATA_OCTETS:
            raise DeviceError(f"{path}: {metas[chosen]} has {octets} octets, too many for metadata")
        file = opener()
        text = decode_text(file.read(_MAX_METADATA_OCTETS)) if file else ""
    except TextError as error:
        raise DeviceError(f"{path}: metadata: {error}") from None
    except OSError as error:
        raise DeviceNotFound(f"can't read {path}: {error.strerror or error}") from None
    except (EOFError, ValueError, *DAMAGED) as error:
        raise DeviceError(f"{path} is no SigMF archive (a tar file, also compressed): {error}") from None
    return ArchivedRecording(name=chosen, metadata=text, _members=members)


def _chosen(path: Path, names: list[str], name: str | None) -> str:
    wanted = [one for one in names if name in (one, PurePosixPath(one).name)] if name else names
    if len(wanted) == 1:
        return wanted[0]
    raise DeviceError(
        f"{path} holds {len(names)} recordings: {', '.join(names)}; choose one with --recording"
        if name is None
        else f"{path} holds no recording {name}; it holds {', '.join(names)}"
    )


def _members(path: Path) -> dict[str, tuple[_Opener, int]]:
    """Name -> how to open it, and its octets, of each plain file."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == _ZSTD:
        raise DeviceError(f"{path} is compressed with zstd: unpack it first (zstd -d, then tar -xf)")
    if magic == b"PK\x03\x04":
        return _zip_members(path)
    archive = tarfile.open(path, "r:*")  # noqa: SIM115  the dataset is read from it for as long as the stream lives
    found: dict[str, tuple[_Opener, int]] = {}
    for member in archive:
        if len(found) >= _MAX_MEMBERS:
            raise DeviceError(f"{path} holds more than {_MAX_MEMBERS} files")
        if member.isfile():
            found[str(PurePosixPath(member.name))] = (_tar_opener(archive, member), member.size)
    return found


def _zip_members(path: Path) -> dict[str, tuple[_Opener, int]]:
    archive = zipfile.ZipFile(path)
    infos = archive.infolist()
    if len(infos) > _MAX_MEMBERS:
        raise DeviceError(f"{path} holds more than {_MAX_MEMBERS} files")
    return {
        str(PurePosixPath(info.filename)): (_zip_opener(archive, info), info.file_size)
        for info in infos
        if not info.is_dir()
    }


def _tar_opener(archive: tarfile.TarFile, member: tarfile.TarInfo) -> _Opener:
    return lambda: cast("BinaryIO | None", archive.extractfile(member))


def _zip_opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Opener:
    return lambda: cast(BinaryIO, archive.open(info))
