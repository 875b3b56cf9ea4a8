"""User agents on a wire in virtual time, which loses, doubles and delays as the test says; and a registrar.

The registrar is no part of the product: it reads requests with the product's parser, and works its Digest out itself.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Callable
from typing import Any

from prose_link.instant import Instant
from prose_link.sip.account import Account
from prose_link.sip.digest import Credentials
from prose_link.sip.message import Message, Request, Response, parse, to_octets
from prose_link.sip.responses import response_to
from prose_link.sip.transport import Hop, Received, Transport
from prose_link.sip.user_agent import UserAgent

DELAY_S = 0.01
Filter = Callable[[Hop, Hop, Message], list[float]]
"""Source, destination, message -> the delays of its copies; [] loses it."""


def counted(seed: str) -> Callable[[int], bytes]:
    """Octets that differ at each call and repeat from the seed."""
    state = {"n": 0}

    def random_bytes(n: int) -> bytes:
        state["n"] += 1
        return hashlib.shake_128(f"{seed} {state['n']}".encode()).digest(n)

    return random_bytes


class Wire:
    """Carries messages between ends by their hops, with a delay."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.ends: dict[Hop, Any] = {}
        self.filter: Filter = lambda *_: [DELAY_S]
        self.seen: list[tuple[float, Hop, Hop, Message]] = []
        self.refuses: set[Hop] = set()
        """Hops that can't be reached: the sender is told."""
        self._under_way: list[tuple[float, int, Hop, Hop, bytes]] = []
        self._n = 0

    @property
    def now(self) -> Instant:
        return Instant(self.now_s, 1_790_000_000.0 + self.now_s)

    def agent(
        self, name: str, host: str, *, proxy: Hop, registers: bool = False, tcp: bool = True, **others: Any
    ) -> UserAgent:
        transports = [Transport.UDP, *([Transport.TCP] if tcp else [])]
        hops = [Hop(transport, host, 5060) for transport in transports]
        account = Account(
            identity=f"tel:+4477009000{name}",
            address_of_record=f"sip:+4477009000{name}@ims.test",
            registrar="sip:ims.test",
            credentials=others.pop("credentials", Credentials(user_name=f"{name}@ims.test", password=f"secret-{name}")),
            proxy=proxy,
            contact_host=host,
            contact_port=5060,
            registers=registers,
            **others.pop("account", {}),
        )
        made = UserAgent(account, {hop.transport: (host, 5060) for hop in hops}, counted(name), **others)
        for hop in hops:
            self.ends[hop] = made
        return made

    def send(self, source: Hop, to: Hop, octets: bytes) -> None:
        message = parse(octets)
        self.seen.append((self.now_s, source, to, message))
        for delay_s in self.filter(source, to, message):
            self._n += 1
            heapq.heappush(self._under_way, (self.now_s + delay_s, self._n, source, to, octets))

    def flush(self) -> None:
        for hop, end in list(self.ends.items()):
            if hop.transport is not Transport.UDP:
                continue
            for outgoing in end.pdus_to_send(self.now):
                if outgoing.to in self.refuses:
                    end.transport_failed(outgoing.to, self.now)
                    continue
                self.send(Hop(outgoing.to.transport, hop.host, hop.port), outgoing.to, outgoing.octets)

    def run(self, until_s: float) -> None:
        """Let all that is due by then happen, in order."""
        self.flush()
        while True:
            due = [end.next_timer() for end in self.ends.values()]
            times = [one for one in due if one is not None] + [one[0] for one in self._under_way[:1]]
            if not times or min(times) > until_s:
                break
            self.now_s = max(self.now_s, min(times))
            while self._under_way and self._under_way[0][0] <= self.now_s:
                _, _, source, to, octets = heapq.heappop(self._under_way)
                if to in self.ends:
                    self.ends[to].receive(Received(octets, source), self.now)
                self.flush()
            for end in dict.fromkeys(self.ends.values()):
                if (timer := end.next_timer()) is not None and timer <= self.now_s:
                    end.handle_timer(self.now)
            self.flush()
        self.now_s = until_s

    def sent(self, method_or_status: str | int, source: str | None = None) -> list[tuple[float, Message]]:
        """Requests of a method or responses of a status that went over the wire."""
        return [
            (at_s, message)
            for at_s, origin, _, message in self.seen
            if (message.method if isinstance(message, Request) else message.status) == method_or_status
            and source in (None, origin.host)
        ]


def events_of(agent: UserAgent) -> list[Any]:
    found = []
    while (event := agent.next_event()) is not None:
        found.append(event)
    return found


class Registrar:
    """P-CSCF and registrar in one: challenges, stores, answers; and hands calls on to registered UEs."""

    def __init__(self, hop: Hop, passwords: dict[str, str], algorithms: tuple[str, ...] = ("SHA-256", "MD5")) -> None:
        self.hop = hop
        self.passwords = passwords
        self.algorithms = algorithms
        self.bindings: dict[str, str] = {}
        self.expires_s = 600
        self.out: list[Any] = []
        self.refusals: list[int] = []
        """Statuses that the next REGISTERs get."""

    def receive(self, received: Received, now: Instant) -> None:
        message = parse(received.octets)
        if isinstance(message, Request) and message.method == "REGISTER":
            self._answer(self._register(message), received.source)
        elif isinstance(message, Request) and message.method == "INVITE":
            self._answer(response_to(message, 403 if not self.bindings else 404, to_tag="p"), received.source)

    def _register(self, request: Request) -> Response:
        if self.refusals:
            return response_to(request, self.refusals.pop(0), to_tag="r")
        line = request.headers.first("Authorization")
        if line is None or not self._is_right(line):
            challenges = [
                ("WWW-Authenticate", f'Digest realm="ims.test", nonce="n0", algorithm={one}, qop="auth"')
                for one in self.algorithms
            ]
            return response_to(request, 401, to_tag="r", headers=challenges)
        contact = request.headers.first("Contact") or ""
        expires_s = min(int(request.headers.first("Expires") or 0), self.expires_s)
        who = request.headers.one("To")
        self.bindings.pop(who, None)
        fields = [("Service-Route", "<sip:orig@10.0.0.8:5060;lr>"), ("P-Associated-URI", "<sip:x@ims.test>, <tel:+1>")]
        if expires_s:
            self.bindings[who] = contact
            fields.append(("Contact", f"{contact};expires={expires_s}"))
        return response_to(request, 200, to_tag="r", headers=fields)

    def _is_right(self, line: str) -> bool:
        value = {name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', line)}
        algorithm = {"MD5": "md5", "SHA-256": "sha256"}[value["algorithm"]]
        h = lambda text: hashlib.new(algorithm, text.encode()).hexdigest()  # noqa: E731
        a1 = h(f"{value['username']}:ims.test:{self.passwords.get(value['username'], '')}")
        tail = f"{value['nonce']}:{value['nc']}:{value['cnonce']}:auth:{h('REGISTER:' + value['uri'])}"
        return h(f"{a1}:{tail}") == value["response"]

    def _answer(self, response: Response, to: Hop) -> None:
        self.out.append((to, response))

    def pdus_to_send(self, now: Instant) -> list[Any]:
        taken = [_Out(to, to_octets(response)) for to, response in self.out]
        self.out.clear()
        return taken

    def next_timer(self) -> None:
        return None

    def handle_timer(self, now: Instant) -> None:
        raise AssertionError

    def transport_failed(self, hop: Hop, now: Instant) -> None:
        pass


class _Out:
    def __init__(self, to: Hop, octets: bytes) -> None:
        self.to, self.octets = to, octets
