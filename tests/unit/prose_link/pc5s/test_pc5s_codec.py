"""The codec: worked octets, one encoding only, and strictness towards everything else."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prose_link.pc5s.core.group_config import keying_of
from prose_link.pc5s.identity.key_exchange import accept_t2, agree, asked, contributed_kd
from prose_link.pc5s.wire.codec import decode, encode, encode_head
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import (
    ChosenAlgorithms,
    DirectAccept,
    DirectReject,
    DirectRequest,
    GroupInfo,
    IpAddressConfig,
    Kdf,
    Keepalive,
    KeepaliveAck,
    MemberOut,
    MemberState,
    Mutual,
    ProfileAndFlags,
    Purpose,
    RekeyingRequest,
    RekeyingResponse,
    RekeyingTrigger,
    Release,
    ReleaseAccept,
    ReleaseReason,
    SecurityCapabilities,
)
from security.link.key_ladder import binding_hash
from tests.samples.pc5s_messages import GROUP, named

NUMBERS = Path(__file__).parents[3] / "vectors" / "security" / "profile_worked_numbers.txt"
SSV_A, SSV_B = bytes.fromhex("00112233445566778899aabbccddeeff"), bytes.fromhex("ffeeddccbbaa99887766554433221100")


def worked():
    """The DCR and DCA heads of each profile with the hashes that follow from them."""
    rows, current = [], {}
    for line in NUMBERS.read_text().splitlines():
        words = line.split()
        if words[:1] == ["profile"]:
            current = {}
            rows.append(current)
        elif words and words[0] in ("DCR", "DCA"):
            current[words[0]] = bytes.fromhex(words[2])
        elif words and words[0] in ("H(T1)", "H(T2)", "HR"):
            current[words[0]] = bytes.fromhex(words[1])
    return rows


@pytest.mark.parametrize("row", worked(), ids=["fc33303", "fc33536"])
def test_worked_octets_decode_encode_and_hash_alike(row):
    request = decode(row["DCR"] + b"\x78\x00\x04abcd")
    assert (encode_head(request), encode(request)) == (row["DCR"], row["DCR"] + b"\x78\x00\x04abcd")
    accept = decode(row["DCA"] + b"\x44\x10" + bytes(16))
    assert (encode_head(accept), encode(accept)) == (row["DCA"], row["DCA"] + b"\x44\x10" + bytes(16))
    half = asked(request, b"")
    assert half.t1_hash == row["H(T1)"]
    assert binding_hash(accept_t2(replace(half, request_hash=row["HR"]), accept)) == row["H(T2)"]


def test_both_ends_agree_from_the_worked_messages():
    row = worked()[0]
    request, accept = decode(row["DCR"] + b"\x78\x00\x01a"), decode(row["DCA"] + b"\x44\x10" + bytes(16))
    half = asked(request, b"signed")
    keys = []
    for ssv_b in (None, SSV_B):
        t2 = accept_t2(half, accept)
        kd = contributed_kd(half, t2, ssv_a=SSV_A, ssv_b=ssv_b)
        keys.append(agree(half, t2, accept, kd=kd, kdf=Kdf.FC33303, signed_b=b"").keys.conf_r)
    assert keys[0] != keys[1]


octets16 = st.binary(min_size=16, max_size=16)
uris = st.from_regex(r"tel:\+[1-9][0-9]{0,14}", fullmatch=True)
l2_ids = st.integers(1, 0xFFFFFE)
octet = st.integers(0, 255)
common = {"sequence_number": st.integers(0, 0xFFFF)}
capabilities = st.builds(
    SecurityCapabilities, eea=st.frozensets(st.integers(0, 7)), eia=st.frozensets(st.integers(0, 7))
)
algorithms = st.builds(ChosenAlgorithms, eea=st.integers(0, 7), eia=st.integers(0, 7))
i_messages = st.binary(min_size=1, max_size=900)
group_infos = st.builds(
    GroupInfo,
    group_l2_id=l2_ids,
    pgk_id=st.integers(1, 31),
    epoch=st.integers(0, 2**32 - 1),
    expiry_ntp_s=st.integers(0, 2**32 - 1),
    eea=st.integers(0, 3),
    mode=st.integers(0, 1),
    group_identity=uris,
    tag=st.binary(min_size=8, max_size=8),
)
members_out = st.lists(
    st.builds(
        MemberOut,
        member=st.binary(min_size=8, max_size=8),
        ntp_s=st.integers(0, 2**32 - 1),
        state=st.sampled_from(MemberState),
    ),
    min_size=1,
    max_size=16,
    unique_by=lambda entry: entry.member,
).map(tuple)


def group_parts(draw, purpose):
    """Group info and what else goes with a purpose."""
    if purpose is Purpose.ONE_TO_ONE:
        return {}
    info = draw(group_infos)
    if purpose is Purpose.GROUP_ASK:
        return {"group_info": replace(info, pgk_id=draw(st.integers(0, 31)), expiry_ntp_s=0, eea=0, mode=0)}
    request_hash = draw(st.none() | st.binary(min_size=32, max_size=32))
    return {"group_info": info, "request_hash": request_hash, "members_out": draw(st.none() | members_out)}


@st.composite
def requests(draw):
    purpose = draw(st.sampled_from(Purpose))
    profile = ProfileAndFlags(kdf=draw(st.sampled_from(Kdf)), mutual=draw(st.sampled_from(Mutual)), purpose=purpose)
    return DirectRequest(
        sequence_number=draw(common["sequence_number"]),
        user_info=draw(uris),
        ip_address_config=draw(st.sampled_from(IpAddressConfig)),
        maximum_inactivity_period_s=draw(st.integers(1, 2**32 - 1)),
        nonce_1=draw(octets16),
        capabilities=draw(capabilities),
        kd_sess_id_msb=draw(st.integers(1, 255)),
        link_local=draw(st.none() | octets16),
        target_user_info=draw(uris),
        link_l2_id=draw(l2_ids),
        profile=profile,
        **group_parts(draw, purpose),
        i_message=draw(i_messages),
    )


answers = {
    "request_hash": st.binary(min_size=32, max_size=32),
    "nonce_2": octets16,
    "algorithms": algorithms,
    "kd_sess_id_lsb": octet,
    "i_message": st.none() | i_messages,
    "confirmation": octets16,
}
messages = st.one_of(
    requests(),
    st.builds(
        DirectAccept,
        **common,
        **answers,
        ip_address_config=st.sampled_from(IpAddressConfig),
        link_local=st.none() | octets16,
        user_info=uris,
        link_l2_id=l2_ids,
        profile=st.builds(ProfileAndFlags, mutual=st.sampled_from(Mutual)),
    ),
    st.builds(DirectReject, **common, cause=octet, request_hash=st.binary(min_size=8, max_size=8)),
    st.builds(Keepalive, **common, counter=st.integers(1, 2**32 - 1), confirmation=st.none()),
    st.builds(Keepalive, **common, counter=st.just(0), confirmation=octets16),
    st.builds(KeepaliveAck, **common, counter=st.integers(0, 2**32 - 1)),
    st.builds(Release, **common, reason=st.sampled_from(ReleaseReason)),
    st.builds(ReleaseAccept, **common),
    st.builds(
        RekeyingRequest,
        **common,
        capabilities=capabilities,
        nonce_1=octets16,
        kd_sess_id_msb=st.integers(1, 255),
        i_message=st.none() | i_messages,
    ),
    st.builds(RekeyingResponse, **common, **answers),
    st.builds(RekeyingTrigger, **common),
)


@settings(max_examples=200, deadline=None)
@given(messages)
def test_what_is_encoded_decodes_to_the_same(message):
    assert decode(encode(message)) == message


@settings(max_examples=300, deadline=None)
@given(messages, st.data())
def test_altered_octets_are_malformed_or_another_message_with_that_one_encoding(message, data):
    octets = bytearray(encode(message))
    position = data.draw(st.integers(0, len(octets) - 1))
    octets[position] ^= data.draw(st.integers(1, 255))
    try:
        other = decode(bytes(octets))
    except MalformedMessage:
        return
    assert encode(other) == bytes(octets)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_decode_or_are_malformed(octets):
    with contextlib.suppress(MalformedMessage):
        assert encode(decode(octets)) == octets


@settings(max_examples=60, deadline=None)
@given(messages, st.binary(min_size=1, max_size=4))
def test_nothing_may_be_missing_or_follow(message, more):
    octets = encode(message)
    for cut in {1, 2, len(octets) - 1} - {len(octets)}:
        with pytest.raises(MalformedMessage):
            decode(octets[:cut])
    with pytest.raises(MalformedMessage):
        decode(octets + more)


def group_request(**changed):
    return replace(named("request to a group").message, **changed)


def ask_about(**changed):
    ask = named("ask for a group key").message
    assert isinstance(ask, DirectRequest) and ask.group_info is not None
    blank = replace(ask.group_info, pgk_id=0, expiry_ntp_s=0, eea=0, mode=0)
    return replace(ask, group_info=replace(blank, **changed))


ASK = ProfileAndFlags(mutual=Mutual.NOT_WANTED, purpose=Purpose.GROUP_ASK)
OUT = MemberOut(member=bytes(8), ntp_s=1, state=MemberState.OUT)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: replace(named("request").message, request_hash=bytes(32)),
        lambda: replace(named("request").message, members_out=(OUT,)),
        lambda: replace(named("request").message, group_info=GROUP),
        lambda: group_request(group_info=None),
        lambda: group_request(group_info=replace(GROUP, pgk_id=0x20)),
        lambda: group_request(group_info=replace(GROUP, tag=bytes(7))),
        lambda: group_request(group_info=replace(GROUP, group_identity="sip:" + "a" * 192 + "@b.org")),
        lambda: group_request(members_out=()),
        lambda: group_request(members_out=(OUT, replace(OUT, ntp_s=2))),
        lambda: group_request(members_out=tuple(replace(OUT, member=bytes([n] * 8)) for n in range(17))),
        lambda: group_request(profile=ASK),
        lambda: replace(named("ask for a group key").message, request_hash=bytes(32)),
        lambda: replace(named("ask for a group key").message, members_out=(OUT,)),
        lambda: replace(named("ask for a group key").message, group_info=None),
        lambda: ask_about(pgk_id=0x20),
        lambda: ask_about(expiry_ntp_s=1),
        lambda: ask_about(eea=1),
        lambda: ask_about(mode=1),
    ],
)
def test_parts_of_groups_stand_where_they_belong_alone(bad):
    for write in (encode, encode_head):
        with pytest.raises(MalformedMessage):
            write(bad())


@pytest.mark.parametrize(("at", "value"), [(25, 2), (12, 0xFF)])
def test_bad_entries_of_members_out(at, value):
    """A state that there is not, and a member that comes twice."""
    octets = bytearray(named("request to a group with members out").octets)
    start = octets.index(b"\x79\x00\x1a") + 3
    if at == 25:
        octets[start + at] = value
    else:
        octets[start + 13 : start + 21] = octets[start : start + 8]
    with pytest.raises(MalformedMessage):
        decode(bytes(octets))


def test_group_info_is_written_alike_where_keys_are_made_of_it():
    """The key ladder writes it for itself: both writings must be the same octets."""
    octets = named("request to a group").octets
    assert keying_of(GROUP).octets in octets
    assert octets[octets.index(keying_of(GROUP).octets) - 2 :][:2] == bytes([0x46, len(keying_of(GROUP).octets)])
