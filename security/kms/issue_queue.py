"""Requests for keys that wait together are answered together: one commit of the audit log for all of them.

Keys leave only when their audit lines are committed, and writing a commit to the disk costs about as much for one line
as for thirty. A lone request is answered at once. Requests that arrive meanwhile wait in a bounded queue and are
answered in one batch with one commit, so that the rate does not depend on the disk. A request that finds the queue full
is refused as `busy`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from security.kms.service import KeyOrder
from security.kms_wire.errors import KmsRefusal
from security.kms_wire.protocol import KeysResponse, Refusal

MAX_WAITING_ORDERS: Final = 256
MAX_ORDERS_AT_ONCE: Final = 32

Answers = Sequence[KeysResponse | KmsRefusal]
Issue = Callable[[Sequence[KeyOrder]], Awaitable[Answers]]


class IssueQueue:
    """A bounded queue before `issue`.

    A lone request is answered at once; those that come meanwhile are answered together.
    """

    def __init__(self, issue: Issue) -> None:
        self._issue = issue
        self._waiting: list[tuple[KeyOrder, asyncio.Future[KeysResponse]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, order: KeyOrder) -> KeysResponse:
        """The answer to one order. Raises KmsRefusal, and every exception of `issue`."""
        if len(self._waiting) >= MAX_WAITING_ORDERS:
            raise KmsRefusal(Refusal.BUSY, "too many requests at once; try again")
        answer: asyncio.Future[KeysResponse] = asyncio.get_running_loop().create_future()
        self._waiting.append((order, answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_ORDERS_AT_ONCE], self._waiting[MAX_ORDERS_AT_ONCE:]
                await self._serve([(order, future) for order, future in batch if not future.done()])
        finally:
            self._worker = None

    async def _serve(self, batch: Sequence[tuple[KeyOrder, asyncio.Future[KeysResponse]]]) -> None:
        if not batch:
            return
        try:
            answers: Answers = await self._issue([order for order, _ in batch])
        except Exception as exc:
            for _, future in batch:
                _settle(future, exc)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            _settle(future, answer)


def _settle(future: asyncio.Future[KeysResponse], answer: KeysResponse | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
