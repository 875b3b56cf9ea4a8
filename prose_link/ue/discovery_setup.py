"""Builds a UE's discovery entity from its configuration, with the keys from its KMS.

The configuration has two kinds of entries: the UE's role in its discovery group, and open and restricted codes. Each
becomes an own message (announce, solicit), a filter (monitor, respond), or both. An entry names a key set; the KMS gave
the keys of that set for each period that the UE holds. DUIK protects every message with a key set; DUSK and DUCK are
for restricted codes only. At power-on a code without usable keys is an error, because the UE could neither send nor
accept it. A discovery group without a key is allowed and reported, since such messages may be sent without MIC.

When a later contact with the KMS brings other keys, the same mapping is made again, and the entity gets the new keys
without losing what it has heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, assert_never

import numpy as np

from prose_link.config.discovery import (
    DiscoverySection,
    OpenAnnounce,
    OpenMonitor,
    RestrictedAnnounce,
    RestrictedMonitor,
    RestrictedRespond,
    RestrictedSolicit,
)
from prose_link.config.ue import ConfigError, UeConfig
from prose_link.discovery.entity import DiscoveryEntity, answers_member
from prose_link.discovery.filters import CodeFilter, DiscoveryConfig
from prose_link.discovery.key_periods import UNPROTECTED, KeyPeriods, PeriodKeys
from prose_link.discovery.messages import (
    DiscoveryMessage,
    DiscoveryType,
    GroupMemberAnnouncement,
    GroupMemberSolicitation,
    OpenAnnouncement,
    RestrictedAnnouncement,
    RestrictedQuery,
    RestrictedResponse,
)
from prose_link.discovery.protection import MessageKeys
from prose_link.instant import NTP_EPOCH_OFFSET_S
from security.held_keys import DiscoveryKeys
from security.identifiers import KeyRing

_Entry = OpenAnnounce | OpenMonitor | RestrictedAnnounce | RestrictedMonitor | RestrictedSolicit | RestrictedRespond


def discovery_entity(
    config: UeConfig, ring: KeyRing, keys: Sequence[DiscoveryKeys], rng: np.random.Generator
) -> DiscoveryEntity:
    """What the `[discovery]` section describes.

    Args:
        config: the UE's configuration.
        ring: tells the key periods of each KMS.
        keys: what the KMSs gave, of every period held.
        rng: chooses PSDCH resources.

    Raises:
        ConfigError: a code's key set is not among the keys, or none of it is good at power-on.
    """
    held = _HeldKeys(config, ring, keys)
    for entry in _entries(config.discovery):
        held.check_at_power_on(entry)
    entity = DiscoveryEntity(_discovery_config(config, held), rng)
    _take_up_group_roles(entity, config)
    for entry in _entries(config.discovery):
        _take_up_role(entity, entry, held, config)
    return entity


def renew_discovery_keys(
    entity: DiscoveryEntity, config: UeConfig, ring: KeyRing, keys: Sequence[DiscoveryKeys]
) -> None:
    """Give the entity the keys that a later contact with the KMS brought.

    A set that the KMS no longer gives falls silent when its last period ends; the entity then emits an event.
    """
    held = _HeldKeys(config, ring, keys)
    own: dict[DiscoveryMessage, KeyPeriods] = {}
    for entry in _entries(config.discovery):
        message = _own_message(entry)
        if message is not None:
            own[message] = held.of_entry(entry)
    entity.replace_keys(_discovery_config(config, held), own)


def _entries(section: DiscoverySection) -> tuple[_Entry, ...]:
    return (*section.open, *section.restricted)


def _discovery_config(config: UeConfig, held: _HeldKeys) -> DiscoveryConfig:
    section = config.discovery
    return DiscoveryConfig(
        user_info_id=section.user_info_id,
        prose_ue_id=config.l2_id,
        group_ids=frozenset({section.group_id} if _takes_part(section) else ()),
        keys=held.of_group(section.group_id),
        codes=tuple(one for entry in _entries(section) if (one := _filter(entry, held, config)) is not None),
        monitor=section.monitor,
        respond=section.respond,
        validity_s=section.validity_s,
        transmit_probability=section.transmit_probability,
    )


def _own_message(entry: _Entry) -> DiscoveryMessage | None:
    """The message that an entry sends; None if it only listens or answers."""
    match entry:
        case OpenAnnounce(code=code):
            return OpenAnnouncement(code=code)
        case RestrictedAnnounce(code=code):
            return RestrictedAnnouncement(code=code)
        case RestrictedSolicit(query=query):
            return RestrictedQuery(code=query)
        case OpenMonitor() | RestrictedMonitor() | RestrictedRespond():
            return None
        case _ as never:
            assert_never(never)


def _takes_part(section: DiscoverySection) -> bool:
    return section.announce or section.monitor or section.solicit or section.respond


def group_name(group_id: int) -> str:
    """A discovery group's name at the KMS."""
    return f"{group_id:06x}"


class _HeldKeys:
    """The discovery keys a UE holds, by the name of their set."""

    def __init__(self, config: UeConfig, ring: KeyRing, keys: Sequence[DiscoveryKeys]) -> None:
        self._config = config
        self._ring = ring
        self._keys = keys

    def of_group(self, group_id: int) -> KeyPeriods:
        """DUIK of a discovery group; unprotected if the KMS gave none."""
        periods = self._periods(group_name(group_id), lambda held: MessageKeys(duik=held.duik))
        return periods if periods.periods else UNPROTECTED

    def of_entry(self, entry: _Entry) -> KeyPeriods:
        """The keys of a code, of the periods held."""
        if entry.key_set is None:
            return UNPROTECTED
        if isinstance(entry, OpenAnnounce | OpenMonitor):
            return self._periods(entry.key_set, lambda held: MessageKeys(duik=held.duik))
        mask = entry.duck_mask
        return self._periods(
            entry.key_set,
            lambda held: MessageKeys(duik=held.duik, dusk=held.dusk, duck=held.duck if any(mask) else None, mask=mask),
        )

    def check_at_power_on(self, entry: _Entry) -> None:
        """Raise ConfigError if the UE holds no keys of a code that are good at power-on."""
        periods = self.of_entry(entry)
        if entry.key_set is not None and periods.to_send(self._config.utc_s_at_power_on) is None:
            self._refuse(entry.key_set, periods)

    def _periods(self, name: str, choose: Callable[[DiscoveryKeys], MessageKeys]) -> KeyPeriods:
        return KeyPeriods(tuple(self._period(held, choose(held)) for held in self._keys if held.group == name))

    def _period(self, held: DiscoveryKeys, keys: MessageKeys) -> PeriodKeys:
        domain = self._ring.domain(held.kms_uri)
        start, end = domain.period_bounds(held.key_period_no)
        return PeriodKeys(
            keys=keys,
            start_utc_s=start - NTP_EPOCH_OFFSET_S,
            end_utc_s=end - NTP_EPOCH_OFFSET_S,
            overlap_s=domain.overlap_s(),
        )

    def _refuse(self, key_set: str, periods: KeyPeriods) -> NoReturn:
        names = ", ".join(sorted({held.group for held in self._keys})) or "no discovery group"
        why = "those it holds are of other key periods" if periods.periods else f"the KMS gave it those of {names}"
        raise ConfigError(
            f"{self._config.name} has no discovery keys of key set {key_set!r}: {why}. The operator of the KMS gives "
            f"them to a user with: pc5lab kms discovery-group FOLDER {key_set} --add USER"
        )


def _filter(entry: _Entry, held: _HeldKeys, config: UeConfig) -> CodeFilter | None:
    """The filter of an entry; None if it only announces."""
    answer: bytes | None = None
    match entry:
        case OpenMonitor(code=code, mask=mask):
            kind = DiscoveryType.OPEN_ANNOUNCEMENT
        case RestrictedMonitor(code=code, mask=mask):
            kind = DiscoveryType.RESTRICTED_ANNOUNCEMENT
        case RestrictedSolicit(response=code, response_mask=mask):
            kind = DiscoveryType.RESTRICTED_RESPONSE
        case RestrictedRespond(query=code, query_mask=mask, response=answer):
            kind = DiscoveryType.RESTRICTED_QUERY
        case OpenAnnounce() | RestrictedAnnounce():
            return None
        case _ as never:
            assert_never(never)
    return CodeFilter(
        type=kind,
        code=code,
        mask=mask,
        keys=held.of_entry(entry),
        answer=answer,
        valid_until_utc_s=entry.valid_until_utc_s(config.utc_s_at_power_on),
    )


def _take_up_role(entity: DiscoveryEntity, entry: _Entry, held: _HeldKeys, config: UeConfig) -> None:
    until_utc_s = entry.valid_until_utc_s(config.utc_s_at_power_on)
    message = _own_message(entry)
    if message is None:
        return
    if not isinstance(entry, RestrictedSolicit):
        entity.announce(message, keys=held.of_entry(entry), valid_until_utc_s=until_utc_s)
        return
    wanted = CodeFilter(type=DiscoveryType.RESTRICTED_RESPONSE, code=entry.response, mask=entry.response_mask)

    def answered(heard: DiscoveryMessage) -> bool:
        return isinstance(heard, RestrictedResponse) and wanted.passes(heard.code)

    entity.solicit(
        message,
        keys=held.of_entry(entry),
        every_s=entry.every_s,
        answered_by=answered,
        valid_until_utc_s=until_utc_s,
    )


def _take_up_group_roles(entity: DiscoveryEntity, config: UeConfig) -> None:
    section = config.discovery
    own = {
        "discovery_group_id": section.group_id,
        "user_info_id": section.user_info_id,
        "prose_ue_id": config.l2_id,
    }
    if section.announce:
        entity.announce(GroupMemberAnnouncement(**own))
    if section.solicit:
        question = GroupMemberSolicitation(**own, target_user_info_id=section.target_user_info_id)
        entity.solicit(question, every_s=section.solicit_every_s, answered_by=answers_member(question))
