"""Renewal of keys in a UE that runs for long: it contacts its KMS when that is due, between two steps of the node.

The contact itself is slow: TLS, a pairing for every key set, tables of the new keys. A UE whose calendar is the
system's makes the contact in a thread and continues meanwhile; it uses the result between two steps. A UE in virtual
time waits for the contact, and the air waits too, so that the answer always comes at the same sample.

The thread only fetches and checks. The UE's own thread alone changes the key store, the device's record and the node,
in one order: the keys are on the disk before a link uses them.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from queue import Empty, SimpleQueue

from prose_link.config.ue import UeConfig
from prose_link.ue.events import KeysLeftOnDisk, KeysNotRenewed, KeysRenewed
from prose_link.ue.identity import Identity, identity_of, prepare_tables, ticket_of
from prose_link.ue.node import Node
from security.device.kms_client import KmsClient, keep_all, numbers_of_interest
from security.device.provisioning import Provisioning
from security.device.renewal import RenewalWaits
from security.device.store import KeyStore
from security.errors import SecurityError

Fetch = Callable[[], Provisioning]
"""Asks the KMS and checks its answer; may take seconds. Raises SecurityError. Called in a thread of its own."""
Keep = Callable[[Provisioning], Identity]
"""Writes the KMS's answer to the disk; returns the identity that the UE uses from then on. Raises SecurityError."""
Wipe = Callable[[str, int], None]
"""(KMS, key period): removes the keys of a period that is over from the disk. Raises SecurityError."""
Answer = Provisioning | BaseException


class KeyRenewal:
    """Contacts the KMS of one UE repeatedly.

    Args:
        uri: the UE's identity.
        fetch: contacts the KMS.
        keep: writes its answer to the disk.
        wipe: removes keys that are over from the disk.
        waits: returns the wait after each contact.
        first_wait_s: wait before the first contact.
        in_background: whether the UE continues meanwhile; its run then does not repeat to the sample.
    """

    def __init__(
        self,
        uri: str,
        *,
        fetch: Fetch,
        keep: Keep,
        wipe: Wipe,
        waits: RenewalWaits,
        first_wait_s: float,
        in_background: bool,
    ) -> None:
        self.newest: Identity | None = None
        """Result of the last contact, for a UE that is switched on again."""
        self._uri = uri
        self._fetch = fetch
        self._bring_to_disk = keep
        self._wipe = wipe
        self._waits = waits
        self._left_s = first_wait_s
        self._in_background = in_background
        self._seen_s = 0.0
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._is_asking = False

    def step(self, node: Node) -> None:
        """Contact the KMS if that is due, and use its answer; called between two steps of the node.

        Raises every exception that is no SecurityError and no OSError: a bug.
        """
        self._let_pass(node)
        self._wipe_what_is_over(node)
        if not self._is_asking and self._left_s <= 0.0:
            self._is_asking = True
            if self._in_background:
                threading.Thread(target=self._ask, name="KMS contact", daemon=True).start()
            else:
                self._ask()
        if self._is_asking:
            self._take_answer(node)

    def _let_pass(self, node: Node) -> None:
        """Count down; a count of samples that is lower than before is that of a radio switched on again.

        The KMS is then asked at once if no link is set up until it has given the time.
        """
        now = node.now
        if now.mono_s < self._seen_s and node.kms_is_awaited:
            self._left_s = 0.0
        self._left_s -= max(0.0, now.mono_s - self._seen_s)
        self._seen_s = now.mono_s

    def _wipe_what_is_over(self, node: Node) -> None:
        for over in node.take_wiped_periods():
            try:
                self._wipe(over.kms, over.key_period)
            except (SecurityError, OSError) as error:
                node.tell(KeysLeftOnDisk(kms=over.kms, key_period=over.key_period, why=str(error)))

    def _ask(self) -> None:
        try:
            got = self._fetch()
            prepare_tables([got.domain], got.key_sets)
        except BaseException as error:  # whatever it is, the UE's own thread must hear of it
            self._answers.put(error)
        else:
            self._answers.put(got)

    def _take_answer(self, node: Node) -> None:
        try:
            answer = self._answers.get_nowait()
        except Empty:
            return
        self._is_asking = False
        if isinstance(answer, Provisioning):
            try:
                self._keep(answer, node)
            except (SecurityError, OSError) as error:
                answer = error
        if isinstance(answer, OSError):
            answer = SecurityError(str(answer))
        if isinstance(answer, SecurityError):
            self._left_s = self._waits.after_failure(answer)
            again_s = self._left_s if math.isfinite(self._left_s) else None
            node.tell(KeysNotRenewed(identity=self._uri, why=str(answer), again_after_s=again_s))
        elif isinstance(answer, BaseException):
            raise answer

    def _keep(self, got: Provisioning, node: Node) -> None:
        """Write new keys to the disk, then give them to the links."""
        identity = self._bring_to_disk(got)
        self.newest = replace(identity, kms_ntp_s=None, refused_statements=())
        self._left_s = self._waits.after_contact(got)
        periods = tuple(sorted(keys.key_period_no for keys in got.key_sets))
        node.tell(KeysRenewed(identity=got.uri, kms=got.domain.uri, key_periods=periods))
        node.take_keys(identity)


def key_renewal(config: UeConfig, store: KeyStore, outcome: Provisioning | SecurityError) -> KeyRenewal:
    """The renewal of a UE that has just contacted its KMS, or tried to.

    Args:
        config: the UE's configuration.
        store: its key store, which holds keys.
        outcome: what the first contact brought.

    Raises:
        ConfigError: the ticket with the lab's CA can't be read.
        IdentityError: no trusted KMS speaks for the identity.
    """
    ca_pem = ticket_of(config).ca_pem.encode()

    def fetch() -> Provisioning:
        client = KmsClient(url=config.kms.url, ca_pem=ca_pem, identity=store.tls_identity)
        return asyncio.run(client.fetch(store.identity, numbers_of_interest(store, config.numbers_to_ask)))

    def keep(got: Provisioning) -> Identity:
        keep_all(store, got)
        return identity_of(store, contact=got)

    waits = RenewalWaits(store.identity, store.key_ring().domain_of(store.identity))
    first_s = waits.after_contact(outcome) if isinstance(outcome, Provisioning) else waits.after_failure(outcome)
    return KeyRenewal(
        store.identity,
        fetch=fetch,
        keep=keep,
        wipe=store.wipe_period,
        waits=waits,
        first_wait_s=first_s,
        in_background=config.utc_at_power_on is None,
    )
