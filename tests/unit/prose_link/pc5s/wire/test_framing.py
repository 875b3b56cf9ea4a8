"""A table is bound to its dataclasses, and what is bound writes and reads."""

from __future__ import annotations

from prose_link.pc5s.wire.codec import LAYOUTS
from prose_link.pc5s.wire.framing import bind, read_message, write_message
from prose_link.pc5s.wire.messages import KeepaliveAck
from prose_link.pc5s.wire.table import IDENTITY


def test_a_bound_table_writes_and_reads() -> None:
    layouts = bind(IDENTITY, *LAYOUTS)
    message = KeepaliveAck(sequence_number=5, counter=7)
    octets = write_message(message.TYPE, message, layouts[KeepaliveAck])
    assert octets[1:3] == b"\0\5" and read_message(octets, layouts) == message
