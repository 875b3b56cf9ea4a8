"""The I_MESSAGEs of links and groups carry SSVs that every implementation reads alike."""

import pytest

from prose_link.instant import NTP_EPOCH_OFFSET_S
from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.groups.keyer import ReadableSsvs
from prose_link.pc5s.ts24334 import keys
from security import sakke
from security.mikey import Kind, parse_i_message
from tests.benches.pc5s_bench import UTC_S, A, B, Ue, make_kms

NTP_S = UTC_S + NTP_EPOCH_OFFSET_S
KMS = make_kms()
UID = KMS.domain.uid(B, NTP_S)


@pytest.fixture(scope="module")
def unreadable():
    return next(ssv for n in range(4000) if not sakke.is_readable(ssv := n.to_bytes(16), UID))


def drawing(first: bytes) -> Credentials:
    """Credentials whose source of randomness gives this SSV first."""
    rest = Ue(A).random
    given = [first]
    return Credentials(
        uri=A, key_ring=KMS.ring(A), random_bytes=lambda n: given.pop() if given and n == len(first) else rest(n)
    )


def test_a_request_is_never_made_of_an_ssv_that_some_can_not_read(unreadable):
    issued = drawing(unreadable).issue(Kind.REQUEST, bytes(32), to=B, ntp_s=NTP_S)
    assert issued.ssv != unreadable and sakke.is_readable(issued.ssv, UID)
    assert parse_i_message(issued.octets).sakke.data[257] != 0


def test_so_are_security_mode_commands_and_group_keys(unreadable):
    assert sakke.is_readable(keys.new_ssv(drawing(unreadable), B, NTP_S), UID)
    group = ReadableSsvs(drawing(unreadable), ntp_s=NTP_S)
    assert not group.suits(unreadable, B)
    assert group.suits(group.draw((B,)), B)
    assert group.suits(unreadable, "sip:somebody@out.of.every.namespace")
