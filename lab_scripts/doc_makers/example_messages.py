"""The messages of the MIKEY-SAKKE examples, each from fixed inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from lab_scripts.doc_makers.example_keys import ALICE, BOB, CAROL, DAVE, NTP_S, SERVER, TEAM, ExampleWorld, seeded
from security.mikey import Kind, create_i_message
from security.mikey.codec import CryptoSession, GenericCryptoSession, MapType, Prf, SrtpCryptoSession
from security.mikey.error_message import create_signed_error_message
from security.mikey.errors import ErrorNumber
from security.mikey.i_message import uid_identities
from security.mikey.key_derivation import guk_id
from security.mikey.payloads import Certificate, GeneralExtension, SecurityPolicy
from security.mikey.profile_form import CSB_TAGS, EXTENSION_TYPE

ENTROPY_OCTETS = 32
GMK_ID = 0x0123_4567
ZEROS_SSV_NUMBER = 10412
ZEROS_ENTROPY_NUMBER = 30337
"""Found by trying numbers in turn, and held by `check_leading_zeros`."""
SRTP_POLICY = SecurityPolicy(
    policy_no=0, protocol=0, parameters=((0, b"\1"), (1, b"\x10"), (2, b"\1"), (3, b"\x14"), (4, b"\x0e"))
)
"""AES-CM with 16 octets of key, HMAC-SHA-1 with 20, 14 octets of salt (RFC 3830 6.10.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One I_MESSAGE of the set with all its inputs; `cs_ids`: the crypto sessions for which keys are derived."""

    name: str
    title: str
    initiator: str
    responder: str
    csb_id: int
    cs_ids: tuple[int, ...]
    by_uid: bool = False
    prf: Prf = Prf.HMAC_SHA_256
    map_type: MapType = MapType.EMPTY
    crypto_sessions: tuple[CryptoSession, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    policies: tuple[SecurityPolicy, ...] = ()
    extensions: tuple[GeneralExtension, ...] = ()
    ssv: bytes = b""
    entropy: bytes = b""
    values: dict[str, str] = field(default_factory=dict)

    @property
    def rand(self) -> bytes:
        """RAND, 16 octets."""
        return seeded(f"RAND of {self.name}", 16)

    def filled(self) -> Example:
        """The same with the SSV and entropy that its name gives, where it has none of its own."""
        return replace(
            self,
            ssv=self.ssv or seeded(f"SSV of {self.name}", 16),
            entropy=self.entropy or seeded(f"entropy of {self.name}", ENTROPY_OCTETS),
        )

    def encode(self, world: ExampleWorld) -> bytes:
        """The I_MESSAGE's octets."""
        keys, signer = world.users[self.initiator], world.domain_of(self.initiator)
        receiver = world.domain_of(self.responder)
        identities = uid_identities(keys.uid, world.users[self.responder].uid, signer, receiver)
        return create_i_message(
            keys=keys,
            initiator_domain=signer,
            responder_uri=self.responder,
            responder_domain=receiver,
            ntp_s=NTP_S,
            ssv=self.ssv,
            csb_id=self.csb_id,
            random=_in_turn(self.rand, self.entropy),
            identities=identities if self.by_uid else None,
            certificates=self.certificates,
            policies=self.policies,
            extensions=self.extensions,
            crypto_sessions=self.crypto_sessions,
            map_type=self.map_type,
            prf=self.prf,
        )


def _in_turn(*values: bytes) -> Callable[[int], bytes]:
    source: Iterator[bytes] = iter(values)
    return lambda n: next(source)[:n]


def examples() -> tuple[Example, ...]:
    """The set."""
    return tuple(example.filled() for example in (*_plain(), *_of_33180(), *_with_maps(), *_of_the_profile()))


def _plain() -> Iterator[Example]:
    yield Example(
        name="tel-monthly",
        title="RFC 6509 as it stands: tel URIs, monthly identifiers (scheme 1), one KMS",
        initiator=ALICE,
        responder=BOB,
        csb_id=0x1000_0001,
        cs_ids=(0, 1),
    )
    yield Example(
        name="two-kms",
        title="Two KMSs: signed under scheme 1, encapsulated under scheme 2",
        initiator=ALICE,
        responder=CAROL,
        csb_id=0x1000_0002,
        cs_ids=(0, 1),
    )
    yield Example(
        name="two-kms-back",
        title="Two KMSs the other way: signed under scheme 2, encapsulated under scheme 1",
        initiator=CAROL,
        responder=ALICE,
        csb_id=0x1000_0003,
        cs_ids=(0, 1),
    )
    yield Example(
        name="leading-zeros",
        title="Leading zero octets in g^r, in H, and in both scalars of the signature",
        initiator=ALICE,
        responder=BOB,
        csb_id=0x1000_0004,
        cs_ids=(0, 1),
        ssv=seeded(f"SSV, leading zeros {ZEROS_SSV_NUMBER}", 16),
        entropy=seeded(f"entropy, leading zeros {ZEROS_ENTROPY_NUMBER}", ENTROPY_OCTETS),
    )


def _of_33180() -> Iterator[Example]:
    yield Example(
        name="mcx-private-call",
        title="33.180 private call key (PCK): hashed UIDs (scheme 2), which the IDRs carry in place of URIs",
        initiator=CAROL,
        responder=DAVE,
        csb_id=0x1ABC_DEF0,
        cs_ids=(0, 1),
        by_uid=True,
    )
    gmk = seeded("GMK", 16)
    for member in (DAVE, SERVER):
        yield Example(
            name=f"mcx-group-{member[4:].partition('@')[0]}",
            title=f"33.180 group master key (GMK) for {member}: the same key to each member, CSB-ID = its GUK-ID",
            initiator=CAROL,
            responder=member,
            csb_id=guk_id(gmk, GMK_ID, member),
            cs_ids=(4,),
            ssv=gmk,
            values={"gmk_id": f"{GMK_ID:08x}"},
        )


def _with_maps() -> Iterator[Example]:
    yield Example(
        name="mcx-client-server",
        title="33.180 client-server key (CSK) with a GENERIC-ID map of two crypto sessions and their policy",
        initiator=CAROL,
        responder=SERVER,
        csb_id=0x2000_00C5,
        cs_ids=(6, 8),
        by_uid=True,
        map_type=MapType.GENERIC_ID,
        crypto_sessions=(
            GenericCryptoSession(cs_id=6, protocol=0, policies=b"\0", session_data=bytes(4), spi=b"\1\2\3\4"),
            GenericCryptoSession(cs_id=8, protocol=0, session_specific=True, policies=b"\0"),
        ),
        policies=(SRTP_POLICY,),
    )
    yield Example(
        name="srtp-id-sha1",
        title="SRTP-ID map, policy, a certificate carried along, PRF-HMAC-SHA-1",
        initiator=BOB,
        responder=ALICE,
        csb_id=0x1000_0005,
        cs_ids=(1, 2),
        prf=Prf.HMAC_SHA_1,
        map_type=MapType.SRTP_ID,
        crypto_sessions=(
            SrtpCryptoSession(policy_no=0, ssrc=0xCAFE_0001, roc=0),
            SrtpCryptoSession(policy_no=0, ssrc=0xCAFE_0002, roc=0),
        ),
        certificates=(Certificate(kind=1, data=b"https://certificates.one.example/bob.cer"),),
        policies=(SRTP_POLICY,),
    )


def _of_the_profile() -> Iterator[Example]:
    places = (
        ("profile-request", "a Direct Connection Request (kind 1)", Kind.REQUEST, ALICE, BOB),
        ("profile-accept", "its Direct Connection Accept (kind 2)", Kind.ACCEPT, BOB, ALICE),
        ("profile-group", "a group identity (kind 3)", Kind.GROUP, CAROL, TEAM),
    )
    for name, place, kind, initiator, responder in places:
        binding = hashlib.sha256(seeded(f"transcript of {name}", 75)).digest()
        yield Example(
            name=name,
            title=f"The `identity` profile's I_MESSAGE for {place}: general extension 245 ties it to its place",
            initiator=initiator,
            responder=responder,
            csb_id=CSB_TAGS[kind] << 28 | 0x0000_0006,
            cs_ids=(),
            extensions=(GeneralExtension(kind=EXTENSION_TYPE, data=bytes([kind]) + binding),),
            values={"binding_hash": binding.hex()},
        )


ERROR_NAME = "error-policy"
ERROR_TITLE = "An error message: policy parameter not supported (10), what is supported, signed by the responder"


def error_example(world: ExampleWorld) -> bytes:
    """The signed error message with which alice answers `srtp-id-sha1`."""
    return create_signed_error_message(
        ErrorNumber.INVALID_SP_PARAMETER,
        keys=world.users[ALICE],
        kpak=world.domain_of(ALICE).kpak,
        entropy=seeded(f"entropy of {ERROR_NAME}", ENTROPY_OCTETS),
        csb_id=0x1000_0005,
        ntp_s=NTP_S,
        prf=Prf.HMAC_SHA_1,
        policies=(SRTP_POLICY,),
    )
