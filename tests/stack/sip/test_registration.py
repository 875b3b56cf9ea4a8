"""Registration of a user agent: digests, refreshing, failures, and the calls that need it."""

from __future__ import annotations

import pytest

from prose_link.sip.digest import Credentials
from prose_link.sip.reports import (
    CallRefused,
    Deregistered,
    Registered,
    RegistrationFailed,
)
from prose_link.sip.transport import Hop, Transport
from tests.benches.sip_bench import DELAY_S, Registrar, Wire, events_of
from tests.benches.sip_pair import BODY, SDP, A, P


class Home:
    """Two user agents with a registrar between them."""

    def __init__(self, algorithms=("SHA-256", "MD5"), **others) -> None:
        self.wire = Wire()
        proxy = Hop(Transport.UDP, P, 5060)
        self.registrar = Registrar(proxy, {"01@ims.test": "secret-01"}, algorithms)
        self.wire.ends[proxy] = self.registrar
        self.a = self.wire.agent("01", A, proxy=proxy, registers=True, **others)

    def register(self):
        self.a.register(self.wire.now)
        self.wire.run(self.wire.now_s + 1.0)
        return events_of(self.a)


@pytest.mark.parametrize("algorithms", [("MD5",), ("SHA-256",), ("SHA-256", "MD5"), ("SHA-512-256", "MD5")])
def test_registration_by_digest(algorithms) -> None:
    home = Home(algorithms if "SHA-512-256" not in algorithms else ("SHA-512-256", "MD5"))
    (registered,) = home.register()
    assert registered == Registered(
        expires_s=600, associated=("sip:x@ims.test", "tel:+1"), service_route=("<sip:orig@10.0.0.8:5060;lr>",)
    )
    first = home.wire.sent("REGISTER")[0][1]
    assert first.headers.one("Supported") == "path" and first.uri == "sip:ims.test"
    assert first.headers.one("To") == "<sip:+447700900001@ims.test>" and home.a.is_registered


def test_it_is_refreshed_at_its_half_and_given_up_on_request() -> None:
    home = Home()
    home.registrar.expires_s = 60
    home.register()
    home.wire.run(100.0)
    assert (
        len(events_of(home.a)) == 3 and len({one.headers.one("Call-ID") for _, one in home.wire.sent("REGISTER")}) == 1
    )
    numbers = [int(one.headers.one("CSeq").split()[0]) for _, one in home.wire.sent("REGISTER")]
    assert numbers == sorted(set(numbers))
    home.a.deregister(home.wire.now)
    home.wire.run(200.0)
    assert events_of(home.a) == [Deregistered()] and home.registrar.bindings == {} and not home.a.is_registered


def test_a_wrong_password_is_told_and_tried_again_ever_later() -> None:
    home = Home(credentials=Credentials(user_name="01@ims.test", password="wrong"))
    (failed,) = home.register()
    assert isinstance(failed, RegistrationFailed) and failed.status == 401 and "credentials" in failed.why
    home.wire.run(300.0)
    waits = [one.again_in_s for one in events_of(home.a)]
    assert 4 < len(waits) < 20 and max(waits) <= 60 and len(home.wire.sent("REGISTER")) < 50


def test_a_registrar_that_does_not_answer_is_told_and_tried_again() -> None:
    home = Home()
    home.wire.filter = lambda *_: []
    home.a.register(home.wire.now)
    home.wire.run(33.0)
    assert [one.status for one in events_of(home.a)] == [408]
    home.wire.filter = lambda *_: [DELAY_S]
    home.wire.run(40.0)
    assert home.a.is_registered


def test_a_call_takes_the_routes_of_the_registration() -> None:
    home = Home()
    home.register()
    home.a.call("tel:+447700900002", SDP, BODY, home.wire.now)
    home.wire.run(2.0)
    (_, invite) = home.wire.sent("INVITE")[0]
    assert invite.headers.lines("Route") == ["<sip:10.0.0.9:5060;lr>", "<sip:orig@10.0.0.8:5060;lr>"]
    assert invite.headers.one("P-Preferred-Identity") == "<tel:+447700900001>" and invite.uri == "tel:+447700900002"


@pytest.mark.parametrize("forgets", [True, False])
def test_a_core_that_has_forgotten_the_ue_is_registered_with_anew_and_asked_once_more(forgets: bool) -> None:
    home = Home()
    home.register()
    if forgets:
        home.registrar.bindings.clear()
    before = len(home.wire.sent("REGISTER"))
    home.a.call("tel:+447700900002", SDP, BODY, home.wire.now)
    home.wire.run(10.0)
    events = events_of(home.a)
    assert [type(one) for one in events] == [Registered, CallRefused]
    assert len(home.wire.sent("REGISTER")) == before + 1 and len(home.wire.sent("INVITE")) == 2
    (first, _), (second, _) = home.wire.sent("INVITE")
    assert 0 < second - first < 3.0
    assert events[-1].status == 404, "what the second attempt brings"


def test_no_new_registration_no_second_attempt() -> None:
    home = Home()
    home.register()
    home.registrar.bindings.clear()
    home.registrar.refusals = [403]
    home.a.call("tel:+447700900002", SDP, BODY, home.wire.now)
    home.wire.run(4.0)
    events = events_of(home.a)
    assert [type(one) for one in events[:2]] == [RegistrationFailed, CallRefused] and events[1].status == 403
    assert len(home.wire.sent("INVITE")) == 1


def test_a_lost_connection_to_the_proxy_makes_the_ue_register_anew() -> None:
    home = Home()
    home.register()
    home.a.connection_lost(Hop(Transport.UDP, P, 5060), home.wire.now)
    home.wire.run(5.0)
    assert [type(one) for one in events_of(home.a)] == [Registered]
