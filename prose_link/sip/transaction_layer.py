"""All transactions of a user agent: matches messages to them, starts new ones, and keeps their number bounded.

A request over 1300 octets is sent by TCP (RFC 3261 18.1.1). Where that can't be reached it is sent by UDP after all,
in the same transaction. Responses go back by the connection that their request came by, and over UDP to where RFC
3581 says. A response that belongs to no transaction is dropped here (RFC 6026 5), and so is a message with a fault; a
request with a fault is answered without a transaction.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from prose_link.sip.errors import MalformedMessage, SipError
from prose_link.sip.local_addresses import UDP_LIMIT_OCTETS, LocalAddresses
from prose_link.sip.matching import Key, marked_with_source, plain, server_key, way_back
from prose_link.sip.message import (
    MAGIC_COOKIE,
    Request,
    Response,
    call_id_of,
    cseq_of,
    parse,
    to_octets,
    top_via,
)
from prose_link.sip.responses import response_to
from prose_link.sip.timers import TimerValues
from prose_link.sip.transaction import Heard, RequestCame, Transaction, cancel_of
from prose_link.sip.transaction_tables import (
    INVITE_CLIENT_MACHINE,
    INVITE_SERVER_MACHINE,
    OTHER_CLIENT_MACHINE,
    OTHER_SERVER_MACHINE,
    Cue,
    State,
)
from prose_link.sip.transport import Hop, Outgoing, Received, Transport
from prose_link.sip.validity import fault_of

MAX_TRANSACTIONS: Final = 512
"""At one time, of either side; a bound of this lab. Requests beyond it are answered by 503."""
MAX_OUTGOING: Final = 1024
"""Messages that wait for the edge, at most; the oldest makes room."""
MAX_HEARD: Final = 1024
_CUES: Final = {True: Cue.SUCCESS, False: Cue.FAILURE}


class TransactionLayer:
    """The transactions of one user agent.

    Args:
        local: where responses to our requests are to go, by transport: host and port for Via.
        random_bytes: for branches.
        values: durations of the timers.
        udp_limit_octets: the longest request that is sent by UDP.
    """

    def __init__(
        self,
        local: Mapping[Transport, tuple[str, int]],
        random_bytes: Callable[[int], bytes],
        values: TimerValues | None = None,
        udp_limit_octets: int = UDP_LIMIT_OCTETS,
    ) -> None:
        self._local = LocalAddresses(local, udp_limit_octets)
        self._random_bytes = random_bytes
        self.values: Final = values or TimerValues()
        self._clients: dict[Key, Transaction] = {}
        self._servers: dict[Key, Transaction] = {}
        self._outgoing: deque[Outgoing] = deque(maxlen=MAX_OUTGOING)
        self._heard: deque[Heard] = deque(maxlen=MAX_HEARD)
        self.dropped: Counter[str] = Counter()
        """Messages that were dropped, by the reason."""

    def __len__(self) -> int:
        """Transactions that are held."""
        return len(self._clients) + len(self._servers)

    # Down: what the user sends.

    def send_request(self, request: Request, hop: Hop, now_s: float) -> Key:
        """Begin a transaction and give its key. Raises SipError where there are too many, or no way there."""
        if len(self._clients) >= MAX_TRANSACTIONS:
            raise SipError(f"{len(self._clients)} transactions are under way")
        branch = MAGIC_COOKIE + self._random_bytes(10).hex()
        sent, way, otherwise = self._local.addressed(request, hop, branch)
        machine = INVITE_CLIENT_MACHINE if request.method == "INVITE" else OTHER_CLIENT_MACHINE
        key = (branch, request.method)
        transaction = Transaction(machine, key, sent, way, self.values, otherwise)
        self._clients[key] = transaction
        transaction.begin(now_s)
        self._collect(transaction)
        return key

    def send_ack(self, ack: Request, hop: Hop) -> Outgoing:
        """Send the ACK of a 2xx, which is a transaction of its own and has no answer; gives it, for repetitions."""
        sent, way, _ = self._local.addressed(ack, hop, MAGIC_COOKIE + self._random_bytes(10).hex())
        outgoing = Outgoing(to_octets(sent), way)
        self.send_again(outgoing)
        return outgoing

    def send_again(self, outgoing: Outgoing) -> None:
        """Send a message outside of a transaction."""
        self._outgoing.append(outgoing)

    def cancel(self, key: Key, now_s: float) -> Key | None:
        """Send the CANCEL of an INVITE that has a provisional response (RFC 3261 9.1); None where it makes no sense."""
        invite = self._clients.get(key)
        if invite is None or invite.state is not State.PROCEEDING or (key[0], "CANCEL") in self._clients:
            return None
        cancel = cancel_of(invite.request)
        transaction = Transaction(OTHER_CLIENT_MACHINE, (key[0], "CANCEL"), cancel, invite.hop, self.values)
        self._clients[transaction.key] = transaction
        transaction.begin(now_s)
        self._collect(transaction)
        return transaction.key

    def respond(self, key: Key, response: Response, now_s: float) -> bool:
        """Give a response to a request; False where its transaction is over."""
        transaction = self._servers.get(key)
        if transaction is None:
            return False
        cue = Cue.PROVISIONAL if response.is_provisional else _CUES[response.is_success]
        done = transaction.take(cue, response, now_s)
        self._collect(transaction)
        return done

    def state_of(self, key: Key) -> State | None:
        """The state of a transaction, None for one that is over."""
        transaction = self._servers.get(key) or self._clients.get(key)
        return transaction.state if transaction else None

    # Up: what the edge has received.

    def receive(self, received: Received, now_s: float) -> None:
        """Take a message. Never raises for what is in it."""
        try:
            message = parse(received.octets)
            fault = fault_of(message)
            if fault is not None and isinstance(message, Request):
                self._refuse(message, received.source, fault.status, fault.why)
            elif fault is not None:
                self.dropped[f"response with a fault: {fault.why[:60]}" if len(self.dropped) < 64 else "fault"] += 1
            elif isinstance(message, Request):
                self._request(message, received.source, now_s)
            else:
                self._response(message, received.source, now_s)
        except MalformedMessage:
            self.dropped["no SIP message"] += 1

    def transport_failed(self, hop: Hop, now_s: float) -> None:
        """A message to this hop could not be carried, or its connection is gone."""
        for transaction in [*self._clients.values(), *self._servers.values()]:
            if transaction.hop != hop:
                continue
            if transaction.is_client and transaction.otherwise and transaction.state in (State.CALLING, State.TRYING):
                self._go_otherwise(transaction, now_s)
            else:
                transaction.take(Cue.TRANSPORT_ERROR, None, now_s)
            self._collect(transaction)

    def next_timer(self) -> float | None:
        """When `handle_timer` is due, None if nothing runs."""
        due = [one.next_timer() for one in (*self._clients.values(), *self._servers.values())]
        return min((one for one in due if one is not None), default=None)

    def handle_timer(self, now_s: float) -> None:
        """Do what is due."""
        for transaction in [*self._clients.values(), *self._servers.values()]:
            transaction.handle_timer(now_s)
            self._collect(transaction)

    def messages_to_send(self) -> list[Outgoing]:
        """What the edge is to send, in order; each once."""
        taken = list(self._outgoing)
        self._outgoing.clear()
        return taken

    def next_heard(self) -> Heard | None:
        """What the user has to know, oldest first."""
        return self._heard.popleft() if self._heard else None

    # Within.

    def _go_otherwise(self, transaction: Transaction, now_s: float) -> None:
        """From TCP back to UDP (RFC 3261 18.1.1)."""
        hop = transaction.otherwise
        if hop is None:
            return
        bare = replace(transaction.request, headers=transaction.request.headers.without("Via"))
        transaction.request = self._local.with_via(bare, hop.transport, transaction.key[0])
        transaction.hop, transaction.otherwise = hop, None
        transaction.begin(now_s)

    def _request(self, request: Request, source: Hop, now_s: float) -> None:
        via = top_via(request)
        key = server_key(request, via)
        transaction = self._servers.get(key)
        if request.method == "ACK":
            if transaction is None:
                self._heard.append(RequestCame(key, request, source))
            else:
                transaction.take(Cue.ACK, request, now_s, source)
                self._collect(transaction)
            return
        if transaction is not None:
            transaction.take(Cue.REQUEST, request, now_s, source)
            self._collect(transaction)
            return
        if len(self._servers) >= MAX_TRANSACTIONS:
            self._refuse(request, source, 503, "too many transactions")
            return
        request = marked_with_source(request, via, source)
        machine = INVITE_SERVER_MACHINE if request.method == "INVITE" else OTHER_SERVER_MACHINE
        hop, otherwise = way_back(top_via(request), source)
        transaction = Transaction(machine, key, request, hop, self.values, otherwise)
        self._servers[key] = transaction
        transaction.begin(now_s)
        self._heard.append(RequestCame(key, request, source))
        if request.method == "INVITE":
            transaction.take(Cue.PROVISIONAL, response_to(request, 100, "Trying"), now_s)
            self._collect(transaction)

    def _response(self, response: Response, source: Hop, now_s: float) -> None:
        if len(response.headers.values("Via")) != 1:
            self.dropped["response with another's Via"] += 1
            return
        cseq = cseq_of(response)
        transaction = self._clients.get((top_via(response).branch, cseq.method))
        if transaction is None or call_id_of(response) != transaction.request.headers.first("Call-ID"):
            self.dropped["response out of nowhere"] += 1
            return
        cue = Cue.PROVISIONAL if response.is_provisional else _CUES[response.is_success]
        transaction.take(cue, response, now_s, source)
        self._collect(transaction)

    def _refuse(self, request: Request, source: Hop, status: int, why: str) -> None:
        """Answer without a transaction, as far as the request says where to."""
        self.dropped[f"request refused by {status}"] += 1
        if request.method == "ACK":
            return
        via = top_via(request)
        marked = marked_with_source(request, via, source)
        hop, otherwise = way_back(top_via(marked), source)
        response = response_to(marked, status, None, headers=(("Warning", f'399 pc5lab "{plain(why)}"'),))
        self._outgoing.append(Outgoing(to_octets(response), hop, otherwise))

    def _collect(self, transaction: Transaction) -> None:
        self._outgoing.extend(transaction.outgoing)
        self._heard.extend(transaction.heard)
        transaction.outgoing.clear()
        transaction.heard.clear()
        if transaction.state is State.TERMINATED:
            held = self._clients if transaction.is_client else self._servers
            held.pop(transaction.key, None)
