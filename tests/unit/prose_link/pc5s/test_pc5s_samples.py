"""The table of messages, its samples and every codec: nothing is missing, and all agree to the octet."""

import dataclasses

import pytest

from prose_link.carriers.proxy import frames as proxy
from prose_link.pc5s.ts24334 import codec as mode_codec
from prose_link.pc5s.wire import codec, elements, framing, table
from prose_link.pc5s.wire.ies import MalformedMessage, coder_of
from prose_link.pc5s.wire.messages import Keepalive, MessageType, RekeyingTrigger, Release
from tests.samples.pc5s_messages import SAMPLES, of_profile

CODECS = {"identity": codec, "ts24334": mode_codec, "relay": proxy}
by_name = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


@by_name
def test_the_codec_writes_and_reads_a_sample(sample):
    chosen = CODECS[sample.profile]
    assert chosen.encode(sample.message).hex() == sample.octets.hex()
    assert chosen.decode(sample.octets) == sample.message


@by_name
def test_nothing_may_follow_a_sample_and_no_octet_be_missing(sample):
    faults = (MalformedMessage, proxy.RelayFrameError)
    decode = CODECS[sample.profile].decode
    with pytest.raises(faults):
        decode(sample.octets + b"\0")
    for length in range(len(sample.octets)):
        try:
            shorter = decode(sample.octets[:length])
        except faults:
            continue
        assert CODECS[sample.profile].encode(shorter) == sample.octets[:length]


def test_every_profile_of_the_table_has_a_codec():
    assert set(CODECS) == set(table.PROFILES)


@pytest.mark.parametrize("profile", table.PROFILES)
def test_every_message_of_the_table_has_a_sample(profile):
    shared = {MessageType.KEEPALIVE_ACK, MessageType.RELEASE, MessageType.RELEASE_ACCEPT}
    own = {sample.message.TYPE for sample in of_profile(profile)}
    assert own == set(table.PROFILES[profile]) - (shared if profile == "ts24334" else set())
    for kind in shared if profile == "ts24334" else ():
        assert table.TS24334[kind] is table.IDENTITY[kind]


@pytest.mark.parametrize("profile", table.PROFILES)
def test_every_element_stands_in_a_sample_and_every_optional_one_is_missing_in_another(profile):
    for kind, form in table.PROFILES[profile].items():
        of_kind = [sample.message for sample in SAMPLES if sample.message.TYPE is kind and sample.profile == profile]
        for element in form:
            values = [getattr(message, element.name) for message in of_kind]
            if of_kind:
                assert any(value is not None for value in values), f"{kind.words}: {element.title}"
                assert (None in values) == element.optional, f"{kind.words}: {element.title}"


def test_every_type_stands_in_a_profile():
    assert {kind for forms in table.PROFILES.values() for kind in forms} == set(MessageType)


def test_names_of_types():
    assert table.name_of(17) == "Rekeying Trigger"
    assert table.name_of(99) == "PC5-S message type 99"


@pytest.mark.parametrize("coding", elements.Coding)
def test_every_coding_is_used(coding):
    used = {e.coding for forms in table.PROFILES.values() for form in forms.values() for e in form}
    assert coding in used


def test_parts_fill_their_values():
    for element in table.elements_by_iei().values():
        *first, last = (part.bits for part in element.parts)
        known = [bits for bits in first if bits is not None]
        assert len(known) == len(first), f"{element.title}: only the last part may take what is left"
        if last is None:
            assert sum(known) % 8 == 0, element.title
        else:
            assert element.fixed_octets is not None, element.title
            assert sum(known) + last == 8 * element.fixed_octets, element.title


def test_a_dataclass_missing_or_too_many_is_refused():
    with pytest.raises(table.TableError, match="Rekeying Trigger"):
        framing.bind({MessageType.RELEASE: (elements.REASON,)}, Release, RekeyingTrigger)
    with pytest.raises(table.TableError, match="Release"):
        framing.bind(table.IDENTITY, RekeyingTrigger)


def test_a_dataclass_with_other_fields_than_the_table_is_refused():
    with pytest.raises(table.TableError, match="Keepalive has the fields"):
        framing.bind({MessageType.KEEPALIVE: (elements.COUNTER, elements.REASON)}, Keepalive)
    with pytest.raises(table.TableError, match="Keepalive has the fields"):
        framing.bind({MessageType.KEEPALIVE: (elements.CONFIRMATION, elements.COUNTER)}, Keepalive)


def test_a_choice_needs_an_enumeration():
    (part,) = elements.REASON.parts
    without = dataclasses.replace(elements.REASON, parts=(dataclasses.replace(part, numbers=None),))
    with pytest.raises(TypeError, match="Release reason"):
        coder_of(without)


def with_form(monkeypatch, profile, kind, form):
    changed = {**table.PROFILES, profile: {**table.PROFILES[profile], kind: form}}
    monkeypatch.setattr(table, "PROFILES", changed)


def test_the_table_refuses_an_identifier_of_two_meanings(monkeypatch):
    other = dataclasses.replace(elements.NONCE_2_IE, iei=elements.CONFIRMATION.iei)
    with_form(monkeypatch, "identity", MessageType.RELEASE, (elements.REASON, other))
    with pytest.raises(table.TableError, match="0x44 stands for"):
        table.check()


def test_the_table_refuses_several_lengths_without_a_length_octet(monkeypatch):
    longer = dataclasses.replace(elements.RAND, lengths=range(17, 18))
    with_form(monkeypatch, "identity", MessageType.RELEASE, (elements.REASON, longer))
    with pytest.raises(table.TableError, match="0x0a has no length octet"):
        table.check()


def test_the_table_refuses_profiles_that_begin_a_message_differently(monkeypatch):
    with_form(monkeypatch, "ts24334", MessageType.REJECT, (elements.COUNTER,))
    with pytest.raises(table.TableError, match="Direct Connection Reject: 2 different beginnings"):
        table.check()


def test_the_table_refuses_an_element_without_identifier_after_one_that_has_it(monkeypatch):
    with_form(monkeypatch, "identity", MessageType.REKEYING_TRIGGER, (elements.CONFIRMATION, elements.REASON))
    with pytest.raises(table.TableError, match="Rekeying Trigger"):
        table.check()
