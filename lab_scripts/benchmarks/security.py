"""Speed of the identity-based cryptography and of the packet ciphers."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from lab_scripts.benchmarks.measure import Case, Result, run_cases
from security import sakke
from security.ciphers.algorithms import Eea, Eia, ciphering, integrity
from security.eccsi import eccsi
from security.identifiers import KmsDomain, UidScheme, UserKeys
from security.kms.authority import Authority, MasterSecrets
from security.link.context import SecurityContext
from security.mikey import (
    Kind,
    build_profile_i_message,
    check_profile_i_message,
    extract_ssv,
    verify_i_message,
)

_NTP_S: Final = 3_968_437_672.25
"""2025-10-02 23:47:52 UTC."""
_MONTH_S: Final = 2_592_000
_ALICE, _BOB = "sip:alice@bench.example", "sip:bob@bench.example"
_SSV: Final = bytes(range(16))
_BINDING_HASH: Final = hashlib.sha256(b"request").digest()
_MESSAGE: Final = bytes(300)
_PACKET: Final = bytes(range(250)) * 6
"""1500 octets."""
_SMALL_PACKET: Final = bytes(40)
_BATCH: Final = 64
_KEY: Final = bytes(range(16))
_LCID: Final = 3
_HEADER: Final = bytes(6)
_CIPHERS: Final = ((1, "SNOW 3G", 200.0), (2, "AES", 1500.0), (3, "ZUC", 200.0))
"""Number of 128-EEA and 128-EIA, its name, Mbit/s aimed at."""


def run(*, quick: bool) -> Iterator[Result]:
    """Time every case."""
    return run_cases(cases(), quick=quick)


def cases() -> list[Case]:
    """The timed cases, with the aims of the project. Tables are built before, unless the name says cold."""
    batch_bits = 8.0 * len(_PACKET) * _BATCH
    return [
        Case(name="I_MESSAGE create", unit="ms", aim=5, prepare=_create),
        Case(name="I_MESSAGE process: form, signature, key", unit="ms", aim=13, prepare=_process),
        Case(name="ECCSI sign", unit="ms", prepare=_sign),
        Case(name="ECCSI verify, cold: a signer not met before", unit="ms", aim=0.6, prepare=_verify_strangers),
        Case(name="ECCSI verify, signer's Y cached", unit="ms", prepare=_verify),
        Case(name="SAKKE encapsulate", unit="ms", prepare=_encapsulate),
        Case(name="SAKKE decapsulate", unit="ms", prepare=_decapsulate),
        Case(name="RSK validation, cold", unit="ms", aim=35, prepare=_validate_rsk),
        Case(name="KMS extraction of a user's key set", unit="ms", aim=2, prepare=_extract),
        *(
            Case(
                name=f"128-EEA{number} {name}, {_BATCH} packets of {len(_PACKET)} octets",
                unit="Mbit/s",
                work=batch_bits,
                aim=aim,
                prepare=partial(_cipher_batch, number),
            )
            for number, name, aim in _CIPHERS
        ),
        *(
            Case(
                name=f"128-EIA{number} {name}, {_BATCH} packets of {len(_PACKET)} octets",
                unit="Mbit/s",
                work=batch_bits,
                prepare=partial(_authenticate_batch, number),
            )
            for number, name, _ in _CIPHERS
        ),
        *(
            Case(
                name=f"overhead of a packet sealed with {name}: {len(_SMALL_PACKET)} octets",
                unit="us",
                work=_BATCH,
                aim=25,
                prepare=partial(_seal_batch, number, _SMALL_PACKET),
            )
            for number, name, _ in _CIPHERS
        ),
        *(
            Case(
                name=f"packet of {len(_PACKET)} octets sealed with {name}",
                unit="us",
                work=_BATCH,
                prepare=partial(_seal_batch, number, _PACKET),
            )
            for number, name, _ in _CIPHERS
        ),
    ]


def _authority() -> Authority:
    return Authority.found(
        MasterSecrets.from_demo_seed(1),
        uri="kms.bench.example",
        uid_scheme=UidScheme.HASHED_UID,
        key_period_s=_MONTH_S,
        key_period_offset_s=0,
        namespace=("sip:*",),
    )


def _users() -> tuple[KmsDomain, UserKeys, UserKeys]:
    authority = _authority()
    period = authority.domain.period_of(_NTP_S)
    return authority.domain, authority.extract(_ALICE, period), authority.extract(_BOB, period)


def _message(domain: KmsDomain, alice: UserKeys) -> bytes:
    return build_profile_i_message(
        Kind.REQUEST,
        _BINDING_HASH,
        keys=alice,
        initiator_domain=domain,
        responder_uri=_BOB,
        responder_domain=domain,
        ntp_s=_NTP_S,
        ssv=_SSV,
        random=bytes,
    )


def _create() -> Callable[[], object]:
    domain, alice, _ = _users()
    sakke.prepare_tables(domain.z)
    return lambda: _message(domain, alice)


def _process() -> Callable[[], object]:
    domain, alice, bob = _users()
    octets = _message(domain, alice)
    sakke.prepare_tables(domain.z, bob.rsk, bob.uid)

    def process() -> bytes:
        parsed = check_profile_i_message(
            octets,
            kind=Kind.REQUEST,
            binding_hash=_BINDING_HASH,
            initiator_uri=_ALICE,
            responder_uri=_BOB,
            initiator_domain=domain,
            responder_domain=domain,
        )
        verify_i_message(parsed.i_message, uid=alice.uid, kpak=domain.kpak)
        return extract_ssv(parsed.i_message, rsk=bob.rsk, uid=bob.uid, z=domain.z)

    return process


def _sign() -> Callable[[], object]:
    domain, alice, _ = _users()
    return lambda: _signature(alice, domain.kpak)


def _verify() -> Callable[[], object]:
    domain, alice, _ = _users()
    signature = _signature(alice, domain.kpak)
    return lambda: eccsi.verify(_MESSAGE, signature, uid=alice.uid, kpak=domain.kpak)


def _verify_strangers() -> Callable[[], object]:
    """More signers in turn than the verifier remembers: each is met as if for the first time."""
    secrets = MasterSecrets.from_demo_seed(1)
    kpak = eccsi.public_authentication_key(secrets.ksak)
    signed = []
    for i in range(eccsi.VERIFIER_CACHE_ENTRIES + 1):
        uid = hashlib.sha256(b"uid %d" % i).digest()
        ssk, pvt = eccsi.extract_signing_keys(
            secrets.ksak, uid, hashlib.sha256(b"v %d" % i).digest()[1:].rjust(32, b"\0")
        )
        signed.append((uid, eccsi.sign(_MESSAGE, ssk=ssk, pvt=pvt, uid=uid, kpak=kpak, entropy=bytes(32))))
    others = itertools.cycle(signed)

    def verify() -> None:
        uid, signature = next(others)
        eccsi.verify(_MESSAGE, signature, uid=uid, kpak=kpak)

    return verify


def _signature(keys: UserKeys, kpak: bytes) -> bytes:
    return eccsi.sign(_MESSAGE, ssk=keys.ssk, pvt=keys.pvt, uid=keys.uid, kpak=kpak, entropy=bytes(32))


def _encapsulate() -> Callable[[], object]:
    domain, _, bob = _users()
    sakke.prepare_tables(domain.z)
    return lambda: sakke.encapsulate(_SSV, bob.uid, domain.z)


def _decapsulate() -> Callable[[], object]:
    domain, _, bob = _users()
    sakke.prepare_tables(domain.z, bob.rsk, bob.uid)
    sed = sakke.encapsulate(_SSV, bob.uid, domain.z)
    return lambda: sakke.decapsulate(sed, rsk=bob.rsk, uid=bob.uid, z=domain.z)


def _validate_rsk() -> Callable[[], object]:
    """The KMS's tables are there, the lines of the RSK are not: a key set is checked once."""
    domain, _, bob = _users()
    sakke.prepare_tables(domain.z)

    def validate() -> None:
        sakke.forget_receiver_keys()
        sakke.validate_rsk(bob.rsk, bob.uid, domain.z)

    return validate


def _extract() -> Callable[[], object]:
    authority = _authority()
    periods = itertools.count(1)
    return lambda: authority.extract(_ALICE, next(periods))


def _cipher_batch(number: int) -> Callable[[], object]:
    cipher = ciphering(number, _KEY)
    return lambda: [cipher.apply(count, _LCID, 0, _PACKET) for count in range(_BATCH)]


def _authenticate_batch(number: int) -> Callable[[], object]:
    code = integrity(number, _KEY)
    return lambda: [code.mac(count, _LCID, 0, _PACKET) for count in range(_BATCH)]


def _seal_batch(number: int, packet: bytes) -> Callable[[], object]:
    """Packets protected as PDCP does it: COUNT taken, MAC-I, ciphering. A context holds 65535 packets."""

    def seal() -> None:
        context = SecurityContext(kd_sess_id=1, pek=_KEY, pik=_KEY, eea=Eea(number), eia=Eia(number), direction=0)
        for _ in range(_BATCH):
            context.seal(_LCID, context.next_sn(_LCID), _HEADER, packet)

    return seal
