"""Digest: the examples of RFC 7616 3.9.1 and RFC 2617 3.5, RFC 8760's order of challenges, AKAv1-MD5."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from prose_link.sip.digest import (
    AkaAnswer,
    AuthenticationError,
    Challenge,
    Credentials,
    authorization,
    choose,
    parse_challenge,
)
from prose_link.sip.errors import MalformedMessage

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
MUFASA = Credentials(user_name="Mufasa", password="Circle of Life")


def response_in(value: str) -> str:
    found = re.search(r'response="([0-9a-f]+)"', value)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616(algorithm: str, response: str) -> None:
    challenge = Challenge(
        realm="http-auth@example.org", nonce=NONCE, algorithm=algorithm, qop=("auth", "auth-int"), opaque=OPAQUE
    )
    value = authorization(
        challenge,
        MUFASA,
        method="GET",
        uri="/dir/index.html",
        count=1,
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert response_in(value) == response
    assert f"algorithm={algorithm}" in value and "nc=00000001" in value and "qop=auth" in value
    assert f'opaque="{OPAQUE}"' in value


def test_rfc_2617() -> None:
    challenge = Challenge(realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", qop=("auth",))
    lion = Credentials(user_name="Mufasa", password="Circle Of Life")
    value = authorization(challenge, lion, method="GET", uri="/dir/index.html", count=1, cnonce="0a4f113b")
    assert response_in(value) == "6629fae49393a05397450978507c4ef1"


def test_without_qop_as_rfc_2069_had_it() -> None:
    challenge = Challenge(realm="r", nonce="n")
    value = authorization(challenge, Credentials(user_name="u", password="p"), method="M", uri="x", count=1, cnonce="c")
    h = lambda text: hashlib.md5(text.encode()).hexdigest()  # noqa: E731
    assert response_in(value) == h(f"{h('u:r:p')}:n:{h('M:x')}") and "cnonce" not in value


RAND, AUTN = bytes.fromhex("23553cbe9637a89d218ae64dae47bf35"), bytes.fromhex("55f328b43577b9b94a9ffac354dfafb3")
AKA_CHALLENGE = Challenge(
    realm="ims.test", nonce=base64.b64encode(RAND + AUTN).decode(), algorithm="AKAv1-MD5", qop=("auth",)
)


def test_aka_takes_res_as_password() -> None:
    asked = []

    def usim(rand: bytes, autn: bytes) -> AkaAnswer:
        asked.append((rand, autn))
        return AkaAnswer(res=bytes.fromhex("a54211d5e3ba50bf"))

    value = authorization(
        AKA_CHALLENGE,
        Credentials(user_name="user@ims.test", usim=usim),
        method="REGISTER",
        uri="sip:ims.test",
        count=1,
        cnonce="0a4f113b",
    )
    assert asked == [(RAND, AUTN)]
    assert response_in(value) == "db4b3f3db3ef482ba5147f2f76d1269e"


def test_aka_out_of_step_sends_auts_and_an_empty_password() -> None:
    answers = {}
    for name, answer in (("auts", AkaAnswer(auts=bytes(14))), ("empty", AkaAnswer())):
        credentials = Credentials(user_name="u", usim=lambda *_, answer=answer: answer)
        answers[name] = authorization(AKA_CHALLENGE, credentials, method="REGISTER", uri="sip:x", count=1, cnonce="c")
    assert f'auts="{base64.b64encode(bytes(14)).decode()}"' in answers["auts"]
    assert response_in(answers["auts"]) == response_in(answers["empty"])


@pytest.mark.parametrize("nonce", ["!!!", base64.b64encode(bytes(31)).decode()])
def test_aka_wants_rand_and_autn(nonce: str) -> None:
    credentials = Credentials(user_name="u", usim=lambda *_: AkaAnswer())
    with pytest.raises(AuthenticationError):
        authorization(
            Challenge(realm="r", nonce=nonce, algorithm="AKAv1-MD5"),
            credentials,
            method="M",
            uri="x",
            count=1,
            cnonce="c",
        )


def line(algorithm: str | None, realm: str = "r", qop: str = 'qop="auth"') -> str:
    said = f", algorithm={algorithm}" if algorithm else ""
    return f'Digest realm="{realm}", nonce="n,1", {qop}{said}'


def test_the_topmost_known_challenge_is_chosen() -> None:
    lines = ['Basic realm="r"', line("SHA-512-256"), line("SHA-256"), line("MD5")]
    assert choose(lines, has_usim=False).algorithm == "SHA-256"
    assert choose([line("MD5"), line("SHA-256")], has_usim=False).algorithm == "MD5"
    assert choose([line(None)], has_usim=False).algorithm == "MD5"
    assert choose([line("MD5"), line("AKAv1-MD5")], has_usim=True).algorithm == "AKAv1-MD5"
    assert choose(["garbage", 'Digest realm="unterminated', line("MD5")], has_usim=False).nonce == "n,1"


@pytest.mark.parametrize(
    "lines", [[], ["Basic x=y"], [line("SHA-512-256")], [line("AKAv1-MD5")], [line("MD5", qop='qop="auth-int"')]]
)
def test_nothing_that_can_be_answered(lines: list[str]) -> None:
    with pytest.raises(AuthenticationError):
        choose(lines, has_usim=False)


def test_a_challenge_in_all_its_parts() -> None:
    challenge = parse_challenge('Digest realm="a \\"b\\"", nonce="x" , opaque="", stale=TRUE, qop="auth,auth-int"')
    assert challenge == Challenge(realm='a "b"', nonce="x", opaque="", stale=True, qop=("auth", "auth-int"))
    assert parse_challenge("Bearer x") is None


@pytest.mark.parametrize(
    "text", ['Digest realm="r"', "Digest realm=r, nonce", 'Digest realm="r", realm="s", nonce="n"']
)
def test_what_is_no_challenge(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_challenge(text)


def test_secrets_are_not_shown() -> None:
    assert "Circle" not in repr(MUFASA)
