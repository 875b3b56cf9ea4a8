"""Clients of others at the XML face: forms of requests and paths that it takes, answers or refuses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from security.kms.annex_d_responses import AnnexDOptions, ContentType
from security.kms.operator_orders import trust_domain
from tests.benches.annex_d_client import ALICE, BOB, NS, ROOT, client, serving

MakeKms = Callable[..., Any]


@pytest.mark.parametrize(
    "kms_uri",
    [
        "kms.example",
        "KMS.example",
        "https://kms.example",
        "http://kms.example:8080",
        "https://kms.example/",
        "HOST",
        "https://HOST",
        "HOST/",
    ],
)
def test_forms_of_the_kms_uri_that_clients_send(kms: Any, kms_uri: str) -> None:
    with serving(kms) as url:
        mine = client(kms, url, identity=kms.users["alice"])
        named = kms_uri.replace("HOST", urlsplit(url).netloc)
        assert mine.post(f"{ROOT}/init", mine.request(f"{ROOT}/init", KmsUri=named))[0] == 200
        for other in ("kms.elsewhere", "https://kms.example.org", "kms.example@elsewhere", "ftp://kms.example"):
            status, answer = mine.post(f"{ROOT}/init", mine.request(f"{ROOT}/init", KmsUri=other))
            assert (status, "KmsUri" in answer.findtext("k:KmsError/k:ErrorMsg", namespaces=NS)) == (400, True), other


def test_forms_of_the_client_req_url_that_clients_send(kms: Any) -> None:
    named = f"{ROOT}/keyprov/{ALICE}"
    with serving(kms) as url:
        mine = client(kms, url, identity=kms.users["alice"])
        for path, said in (
            (named, f"https://kms.example{ROOT}/keyprov/{quote(ALICE, safe='')}"),
            (named, f"kms.example{ROOT}/keyprov"),
            (named, named),
            (f"{ROOT}/init", f"http://kms.example:8080{ROOT}/init/"),
        ):
            assert mine.post(path, mine.request(path, ClientReqUrl=said))[0] == 200, said
        for said in (f"https://kms.example{ROOT}/init", f"https://kms.example{ROOT}/keyprov/{BOB}", "kms.example"):
            assert mine.post(named, mine.request(named, ClientReqUrl=said))[0] == 400, said


@pytest.mark.parametrize("path", ["cert/kms.example", "cert", "lookup", f"lookup/{ALICE}", "redirect", "other/x/y"])
def test_cert_lookup_and_redirect_are_not_found(kms: Any, path: str) -> None:
    with serving(kms) as url:
        mine = client(kms, url, identity=kms.users["alice"])
        status, answer = mine.post(f"{ROOT}/{path}")
        assert (status, answer.findtext("k:KmsError/k:ErrorCode", namespaces=NS)) == (404, "404")
        assert answer.findtext("k:UserUri", namespaces=NS) == ALICE
        assert answer.findtext("k:ClientReqUrl", namespaces=NS) == f"https://kms.example{ROOT}/{path}"


def test_time_is_checked_against_both_clocks(kms: Any) -> None:
    with serving(kms) as url:
        mine = client(kms, url, identity=kms.users["alice"])

        def asked(moment: dt.datetime, form: str = "%Y-%m-%dT%H:%M:%SZ") -> int:
            return mine.post(f"{ROOT}/init", mine.request(f"{ROOT}/init", Time=moment.strftime(form)))[0]

        now, lab = dt.datetime.now(dt.UTC), kms.at
        assert [asked(clock + dt.timedelta(seconds=off)) for clock in (now, lab) for off in (-20, 20)] == [200] * 4
        assert [asked(clock + dt.timedelta(seconds=off)) for clock in (now, lab) for off in (-60, 90)] == [400] * 4
        assert asked(lab, "%Y-%m-%dT%H:%M:%S") == 200
        assert asked(lab + dt.timedelta(hours=2), "%Y-%m-%dT%H:%M:%S+02:00") == 200
        assert asked(lab + dt.timedelta(hours=2)) == 400
    with serving(kms, annex_d=AnnexDOptions(time_window_s=7200.0)) as url:
        mine.url = url
        assert asked(lab + dt.timedelta(hours=1)) == 200


def test_text_xml_for_clients_that_want_it(kms: Any, make_kms: MakeKms) -> None:
    other = make_kms("other", uri="kms.other", namespace=("tel:*",), seed=8)
    trust_domain(kms.service, other.home.row.parameters.encode())
    with serving(kms, annex_d=AnnexDOptions(content_type=ContentType.TEXT_XML)) as url:
        mine = client(kms, url, identity=kms.users["alice"])
        assert mine.post(f"{ROOT}/certcache")[0] == 200
        assert mine.content_type == "text/xml; charset=utf-8"
