"""The `[link]` section of a UE's configuration: the peers that it calls and answers, and the terms (PROFILE 8).

The section holds default terms, and each `[[link.policy]]` holds terms for some peers; keys that a rule leaves out are
those of the section. `to_policy` turns them into the policy of the entity, which takes the strictest value of each key
if several rules match a peer. `[[link.peers]]` are the peers to call, each with its own traffic if that differs. Weak
settings (null algorithms, answers to unverified senders) are allowed for labs, but every start reports them.
"""

from __future__ import annotations

from itertools import combinations
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, model_validator

from prose_link.config.numbers import OptionalNumber
from prose_link.config.section import CarrierName, L2IdOrUnknown, OptionalIdentity, Section, UserInfoId
from prose_link.config.traffic import Pings, PushOctets, TrafficSection, VoiceSeconds
from prose_link.pc5s.core.link import MAX_ESTABLISHED
from prose_link.pc5s.core.policy import (
    LinkPolicy,
    MutualGive,
    Policy,
    Profile,
    RekeyContribution,
    patterns_meet,
)
from prose_link.pc5s.core.verify_budget import MAX_VERIFY_PER_S, MIN_VERIFY_PER_S, VERIFY_PER_S
from prose_link.pc5s.wire.messages import Kdf, Mutual
from prose_link.pc5s.wire.party import DIRECT
from radio.quantities import DurationS

_ASK: Final = {"wanted": Mutual.WANTED, "required": Mutual.REQUIRED, "never": Mutual.NOT_WANTED}
_GIVE: Final = {"on-request": MutualGive.ON_REQUEST, "always": MutualGive.ALWAYS, "never": MutualGive.NEVER}
_KDFS: Final = {"fc33303": Kdf.FC33303, "fc33536": Kdf.FC33536}
_CONTRIBUTION: Final = {
    "same-as-setup": RekeyContribution.SAME_AS_SETUP,
    "nonce-only": RekeyContribution.NONCE_ONLY,
    "always": RekeyContribution.ALWAYS,
}
_TRAFFIC: Final = ("pings", "push_octets", "voice_s", "release_when_done")


def _once_each(values: tuple[object, ...]) -> tuple[object, ...]:
    if len(set(values)) < len(values):
        raise ValueError("a value stands in it twice")
    return values


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Algorithms = Annotated[tuple[Literal[1, 2, 3], ...], AfterValidator(_once_each)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
"""One pattern of peer URIs or several; `*` stands for any characters."""


class PolicyKeys(Section):
    """The terms of a link."""

    profile: Literal["identity", "ts24334"] = "identity"
    """Profile of the set-up; a UE never falls back from one profile to the other."""
    mutual_ask: Literal["wanted", "required", "never"] = "wanted"
    """Whether this UE asks its peers for an I_MESSAGE of their own when it calls them."""
    mutual_give: Literal["on-request", "always", "never"] = "on-request"
    """The cases in which this UE answers a call with an I_MESSAGE of its own."""
    mutual_need: Literal["any", "both"] = "any"
    """both: this UE, as responder, always puts its own I_MESSAGE into the answer."""
    ciphering: Algorithms = (2, 1, 3)
    """128-EEA numbers in order of preference: the offer, and the choice from an offer."""
    integrity: Algorithms = (2, 1, 3)
    """128-EIA numbers, alike."""
    allow_null_ciphering: bool = False
    """EEA0 may be used, as the last choice: the link is then not secret. Every start reports this setting."""
    allow_null_integrity: bool = False
    """EIA0 may be used, as the last choice: any UE can then forge the link's traffic. Every start reports this setting.
    """
    kdf: Annotated[
        tuple[Literal["fc33303", "fc33536"], ...],
        BeforeValidator(_as_list),
        Field(min_length=1),
        AfterValidator(_once_each),
    ] = ("fc33303", "fc33536")
    """Key derivations: the first is asked for, all are answered."""
    rekey_contribution: Literal["same-as-setup", "nonce-only", "always"] = "same-as-setup"
    """Contents of a rekey, of this UE and of its peer: nonces, I_MESSAGEs as at set-up, or always I_MESSAGEs."""

    @model_validator(mode="after")
    def _terms_can_be_met(self) -> Self:
        for name, algorithms, null in (
            ("ciphering", self.ciphering, self.allow_null_ciphering),
            ("integrity", self.integrity, self.allow_null_integrity),
        ):
            if not algorithms and not null:
                raise ValueError(f"{name} is empty and allow_null_{name} is false: no link could come up")
        if self.profile == "ts24334" and "never" in (self.mutual_ask, self.mutual_give):
            raise ValueError("links of profile ts24334 are mutual always: mutual_ask and mutual_give can't be never")
        if self.mutual_need == "both" and self.mutual_give == "never":
            raise ValueError("mutual_need = both contradicts mutual_give = never")
        return self

    @property
    def terms(self) -> LinkPolicy:
        """The terms as the link's entity uses them."""
        return LinkPolicy(
            mutual_ask=_ASK[self.mutual_ask],
            mutual_give=_GIVE[self.mutual_give],
            both_needed=self.mutual_need == "both",
            ciphering=self.ciphering,
            integrity=self.integrity,
            allow_null_ciphering=self.allow_null_ciphering,
            allow_null_integrity=self.allow_null_integrity,
            profile=Profile[self.profile.upper()],
            kdfs=tuple(_KDFS[name] for name in self.kdf),
            rekey_contribution=_CONTRIBUTION[self.rekey_contribution],
        )

    def weaknesses(self) -> tuple[str, ...]:
        """Keys with which a link may come up without protection."""
        return tuple(name for name in ("allow_null_ciphering", "allow_null_integrity") if getattr(self, name))


class PolicyRule(PolicyKeys):
    """Terms for some peers; missing keys are those of `[link]`. If several rules match a peer, the strictest holds."""

    peers: Annotated[Patterns, Field(min_length=1)]


class PeerEntry(Section):
    """One peer to call: once discovery has heard it, or after `connect_after_s` if its layer-2 id is known."""

    identity: OptionalIdentity = ""
    """Its identity; or"""
    number: OptionalNumber = ""
    """its telephone number, looked up before each call: in `[[numbers]]`, then in what the KMSs say."""
    user_info_id: UserInfoId = 0
    """Its user info in discovery."""
    l2_id: L2IdOrUnknown = 0
    """Its layer-2 id if it is known beforehand; 0 waits for discovery."""
    carrier: CarrierName = DIRECT
    """By which carrier it is called: `direct`, or one that has a table in `[carriers]`."""
    pings: Pings | None = None
    """For this peer, instead of the value in `[traffic]`."""
    push_octets: PushOctets | None = None
    """Alike."""
    voice_s: VoiceSeconds | None = None
    """Alike."""
    release_when_done: bool | None = None
    """Alike."""

    @property
    def is_known_beforehand(self) -> bool:
        """Whether it can be called without discovery: by its layer-2 id, or by a carrier that may find it."""
        return bool(self.l2_id) or (self.carrier != DIRECT and not self.user_info_id)

    def traffic(self, of_all: TrafficSection) -> TrafficSection:
        """The traffic over the link with this peer; `of_all` is the traffic with all other peers."""
        own = {name: value for name in _TRAFFIC if (value := getattr(self, name)) is not None}
        return of_all.model_copy(update=own)

    @model_validator(mode="after")
    def _can_be_found(self) -> Self:
        if bool(self.identity) == bool(self.number):
            raise ValueError(f"a peer has either an identity or a number, not {self.identity!r} and {self.number!r}")
        if self.carrier == DIRECT and not (self.user_info_id or self.l2_id):
            raise ValueError(f"{self.identity or self.number} can't be found without user_info_id or l2_id")
        return self


class LinkSection(PolicyKeys):
    """Direct connections: the peers that this UE calls and answers, and the terms if no `[[link.policy]]` matches.

    `connect_to`, `peer_user_info_id` and `peer_l2` are the short form of one entry of `[[link.peers]]`.
    """

    connect_to: OptionalIdentity = ""
    """The one peer to call; empty: none, or those of `[[link.peers]]`."""
    peer_user_info_id: UserInfoId = 0
    """Its user info in discovery."""
    peer_l2: L2IdOrUnknown = 0
    """Its layer-2 id where it is known beforehand."""
    peers: Annotated[tuple[PeerEntry, ...], Field(max_length=MAX_ESTABLISHED)] = ()
    """Several peers to call, each with a link, a context and traffic of its own."""
    connect_after_s: DurationS = 0.5
    """Time after power-on at which a peer whose layer-2 id is known beforehand is called."""
    allow: Annotated[Patterns, Field(validation_alias=AliasChoices("allow", "authorised"))] = ("*",)
    """Patterns of allowed peers; the former name of this key was `authorised`."""
    deny: Patterns = ()
    """Patterns of peers that are refused, even if `allow` matches them."""
    policy: tuple[PolicyRule, ...] = ()
    carrier_mismatch: Literal["refuse", "report"] = "refuse"
    """Treatment of a message whose carrier names another sender than its signature."""
    reject_unverified: bool = False
    """For labs: a request that fails before its signature is verified is answered with cause 2; normally it gets no
    answer.
    """
    verify_per_s: Annotated[float, Field(ge=MIN_VERIFY_PER_S, le=MAX_VERIFY_PER_S)] = VERIFY_PER_S
    """Most signatures of other UEs that are verified in a second. If the air brings more, UEs that repeat a request, or
    were verified before, come first.
    """

    @model_validator(mode="before")
    @classmethod
    def _rules_go_on_from_the_section(cls, given: object) -> object:
        """Fill the missing keys of each rule from the section."""
        if not isinstance(given, dict) or not isinstance(given.get("policy"), list | tuple):
            return given
        own = {key: value for key, value in given.items() if key in PolicyKeys.model_fields}
        rules = [{**own, **rule} if isinstance(rule, dict) else rule for rule in given["policy"]]
        return {**given, "policy": rules}

    @model_validator(mode="after")
    def _peers_are_called_once(self) -> Self:
        if self.connect_to and self.peers:
            raise ValueError("connect_to is for one peer, [[link.peers]] for several: take one of them")
        if (self.peer_user_info_id or self.peer_l2) and not self.connect_to:
            raise ValueError("peer_user_info_id and peer_l2 say where connect_to is found, which is missing")
        for what in ("identity", "number", "user_info_id", "l2_id"):
            given = [value for peer in self.called if (value := getattr(peer, what))]
            if len(set(given)) < len(given):
                raise ValueError(f"two of [[link.peers]] have the same {what}")
        authorised = self.to_policy().authorises
        for peer in self.called:
            if peer.identity and not authorised(peer.identity):
                raise ValueError(f"{peer.identity} is to be called, but no link with it is allowed by allow and deny")
        return self

    @model_validator(mode="after")
    def _rules_for_one_peer_agree(self) -> Self:
        for one, other in combinations(self.policy, 2):
            if not any(patterns_meet(a, b) for a in one.peers for b in other.peers):
                continue
            both = one.terms.stricter(other.terms)
            for name, common in (("ciphering", both.eea), ("integrity", both.eia), ("kdf", both.kdfs)):
                if not common:
                    raise ValueError(
                        f"the rules for {', '.join(one.peers)} and for {', '.join(other.peers)} can match one peer, "
                        f"but have no {name} in common"
                    )
        return self

    @property
    def called(self) -> tuple[PeerEntry, ...]:
        """The peers that this UE calls."""
        if not self.connect_to:
            return self.peers
        return (PeerEntry(identity=self.connect_to, user_info_id=self.peer_user_info_id, l2_id=self.peer_l2),)

    def to_policy(self) -> Policy:
        """The policy as the link's entity uses it."""
        rules = tuple((pattern, rule.terms) for rule in self.policy for pattern in rule.peers)
        return Policy(rules=rules, default=self.terms, allow=self.allow, deny=self.deny)

    def weak_keys(self) -> tuple[str, ...]:
        """The keys with which links may come up weaker than possible; every start reports them."""
        told = [f"link.{name}" for name in self.weaknesses()]
        for rule in self.policy:
            told += [f"link.policy.{name} for {', '.join(rule.peers)}" for name in rule.weaknesses()]
        return (*told, *(("link.reject_unverified",) if self.reject_unverified else ()))
