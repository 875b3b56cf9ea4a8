"""Which KD-sess IDs a link has used, in memory that is bounded however many there are."""

from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.link import LinkTable
from prose_link.pc5s.core.policy import LinkPolicy, RekeyContribution
from prose_link.pc5s.core.used_ids import LSBS, UsedIds
from tests.benches.pc5s_bench import B, linked


def test_every_id_once_and_no_other():
    used = UsedIds()
    assert 0x0100 not in used and used.msbs == frozenset()
    for kd_sess_id in (0x0100, 0x01FF, 0xFF00, 0x0100):
        used.add(kd_sess_id)
    assert [n for n in range(0x10000) if n in used] == [0x0100, 0x01FF, 0xFF00]
    assert used.msbs == {0x01, 0xFF}


def test_all_ids_there_are_take_a_mask_for_each_msb():
    used = UsedIds()
    for kd_sess_id in range(0x0100, 0x10000):
        used.add(kd_sess_id)
    assert len(used._lsbs) == 255 and all(mask.bit_length() == LSBS for mask in used._lsbs.values())


def test_an_lsb_that_was_used_is_not_drawn_again():
    used = UsedIds()
    for lsb in range(LSBS):
        if lsb != 0x42:
            used.add(0x2100 | lsb)
    assert LinkTable().draw_lsb(0x21, 1, used, bytes) == 0x42
    used.add(0x2142)
    assert LinkTable().draw_lsb(0x21, 1, used, bytes) is None
    assert LinkTable().draw_msb(bytes, range(1, 255)) == 255


def test_a_link_rekeyed_until_its_ids_run_out_never_uses_one_again():
    a, b, air = linked(policy=LinkPolicy(rekey_contribution=RekeyContribution.NONCE_ONLY))
    seen = [a.entity.links[0].keys.current_id]
    while len(seen) < 255:
        a.entity.rekey(B, air.now)
        air.run(0.3)
        seen.append(a.entity.links[0].keys.current_id)
    assert len({kd_sess_id >> 8 for kd_sess_id in seen}) == 255
    for ue in (a, b):
        (link,) = ue.entity.links
        assert link.state is State.ESTABLISHED and len(link.keys.used_ids.msbs) == 255
    a.entity.rekey(B, air.now)
    air.run(0.3)
    assert a.entity.links[0].keys.current_id == seen[-1], "there is none left: this link gets no more keys"
