"""What stock tshark makes of a capture, and what it must make of one of the lab's: no preference set, no plug-in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TSHARK = shutil.which("tshark")
LCID_PADDING = 31
Layers = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MibSl:
    interface: str
    bandwidth: int
    tdd: str
    frame_number: int
    subframe_number: int
    in_coverage: bool


@dataclass(frozen=True, slots=True)
class SlSch:
    """Layer-2 ids and LCIDs of a MAC PDU, padding left out; `dst` as on the air, 16 bits."""

    interface: str
    src: int
    dst: int
    lcids: tuple[int, ...]
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class IMessage:
    """`identities` by IDR role; octets of the SAKKE data and of the signature."""

    interface: str
    csb_id: int
    identities: dict[int, str]
    sakke_octets: int
    signature_octets: int
    signature_type: int


def dissect(path: Path, *options: str) -> list[Layers]:
    """The layers of every packet as tshark's JSON has them; settings and plug-ins of the user are out of reach."""
    assert TSHARK is not None
    command = [TSHARK, *options, "-r", str(path), "-T", "json", "--no-duplicate-keys"]
    home = {"HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | home)
    assert done.returncode == 0, done.stderr
    return [packet["_source"]["layers"] for packet in json.loads(done.stdout)]


def interface_of(layers: Layers) -> str:
    return str(layers["frame"]["frame.interface_id_tree"]["frame.interface_name"])


def find(tree: Any, name: str) -> Iterator[Any]:
    """Every value of a field, at any depth; repeated ones one by one."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == name:
                yield from value if isinstance(value, list) else [value]
            else:
                yield from find(value, name)
    elif isinstance(tree, list):
        for item in tree:
            yield from find(item, name)


def first(tree: Any, name: str) -> Any:
    return next(find(tree, name))


def mibs_of(packets: Iterable[Layers]) -> list[MibSl]:
    """Every MIB-SL."""
    found = []
    for layers in packets:
        if "lte_rrc" in layers:
            rrc = layers["lte_rrc"]
            dfn = int(first(rrc, "lte-rrc.directFrameNumber_r12").replace(":", ""), 16) >> 6
            found.append(
                MibSl(
                    interface=interface_of(layers),
                    bandwidth=int(first(rrc, "lte-rrc.sl_Bandwidth_r12")),
                    tdd=first(rrc, "lte-rrc.subframeAssignmentSL_r12"),
                    frame_number=dfn,
                    subframe_number=int(first(rrc, "lte-rrc.directSubframeNumber_r12")),
                    in_coverage=first(rrc, "lte-rrc.inCoverage_r12") == "1",
                )
            )
    return found


def sl_schs_of(packets: Iterable[Layers]) -> list[SlSch]:
    """Every SL-SCH MAC PDU."""
    found = []
    for layers in packets:
        if "mac-lte" in layers:
            mac = layers["mac-lte"]
            subheaders = [one for one in find(mac, "mac-lte.slsch.subheader_tree") if "mac-lte.slsch.lcid" in one]
            sdus = [one for one in subheaders if int(one["mac-lte.slsch.lcid"], 16) != LCID_PADDING]
            found.append(
                SlSch(
                    interface=interface_of(layers),
                    src=int(first(mac, "mac-lte.slsch.src-l2-id"), 16),
                    dst=int(first(mac, "mac-lte.slsch.dst-l2-id"), 16),
                    lcids=tuple(int(one["mac-lte.slsch.lcid"], 16) for one in sdus),
                    lengths=tuple(int(one["mac-lte.slsch.length"]) for one in sdus if "mac-lte.slsch.length" in one),
                )
            )
    return found


def i_messages_of(packets: Iterable[Layers]) -> list[IMessage]:
    """Every I_MESSAGE that stands as a packet of its own."""
    found = []
    for layers in packets:
        if "mikey" in layers:
            mikey = layers["mikey"]
            identities = {
                int(idr["mikey.id.role"]): idr["mikey.id.data"]
                for idr in find(mikey, "mikey.idr")
                if isinstance(idr, dict)
            }
            found.append(
                IMessage(
                    interface=interface_of(layers),
                    csb_id=int(first(mikey, "mikey.csb_id"), 16),
                    identities=identities,
                    sakke_octets=int(first(mikey, "mikey.sakke.len")),
                    signature_octets=int(first(mikey, "mikey.sign.len")),
                    signature_type=int(first(mikey, "mikey.sign.type")),
                )
            )
    return found


def assert_opens_without_settings(path: Path, *, links: Iterable[tuple[int, int]], users: tuple[str, str]) -> None:
    """Hold a capture of a mutual link set-up against what it must show in stock tshark.

    Args:
        path: the capture.
        links: (source, destination) layer-2 ids, 24 bits each, of all that crossed the air.
        users: URIs of the initiator and of the responder.
    """
    packets = dissect(path)
    mibs = mibs_of(packets)
    assert mibs, "no MIB-SL"
    assert all(0 <= mib.subframe_number < 10 and mib.frame_number < 1024 for mib in mibs)
    blocks = sl_schs_of(packets)
    assert {(block.src, block.dst) for block in blocks} == {(src, dst >> 8) for src, dst in links}
    lcids = {lcid for block in blocks for lcid in block.lcids}
    assert 28 in lcids
    assert 30 in lcids
    assert lcids <= {*range(1, 11), 28, 30}
    messages = i_messages_of(packets)
    ends = {(message.identities[1], message.identities[2]) for message in messages}
    assert ends == {users, users[::-1]}, "both I_MESSAGEs, the Request's and the Accept's"
    assert {message.csb_id >> 28 for message in messages} == {0xD, 0xE}
    sizes = {(one.sakke_octets, one.signature_octets, one.signature_type) for one in messages}
    assert sizes == {(273, 129, 2)}
    for layers in packets:
        if "mac-lte" not in layers:
            assert "_ws.malformed" not in layers, layers["frame"]["frame.number"]
