"""Throughput of a KMS: key sets issued through the service under load, database and audit log included."""

from __future__ import annotations

import datetime as dt
import hashlib
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

from lab_scripts.benchmarks.measure import Result, interquartile_range
from lab_scripts.runs.scratch_folder import scratch_folder
from security.held_keys import Grant
from security.identifiers import UidScheme
from security.kms.home import KmsHome, KmsPlan
from security.kms.issue_queue import MAX_ORDERS_AT_ONCE
from security.kms.service import Clocks, KeyOrder, KmsService
from security.kms_wire.errors import KmsRefusal
from security.kms_wire.protocol import KeysResponse, encode

_USERS, _QUICK_USERS = 2000, 300
_ROTATED_USERS: Final = 10_000_000
_WARM_UP_USERS: Final = MAX_ORDERS_AT_ONCE
_AIM_PER_CORE: Final = 300.0
_START_TIMEOUT_S: Final = 120.0
_MONTH_S: Final = 2_592_000
_LAB_NTP_S: Final = 1532 * _MONTH_S + _MONTH_S // 2
"""In the middle of a key period: one key set to a request."""


def run(*, quick: bool) -> Iterator[Result]:
    """Measure one worker."""
    return rotation(users=usual_users(quick=quick), workers=1)


def usual_users(*, quick: bool) -> int:
    """Default number of users."""
    return _QUICK_USERS if quick else _USERS


def rotation(*, users: int, workers: int) -> Iterator[Result]:
    """Issue a key set to every one of `users` users, shared among worker processes on one database."""
    with scratch_folder("bench-kms") as folder:
        home = folder / "kms"
        _found_with_users(home, users)
        shifts = _work_together(home, users, workers)
    wall_s = max(shift.ended_s for shift in shifts) - min(shift.began_s for shift in shifts)
    rates = [rate for shift in shifts for rate in shift.rates]
    spread = interquartile_range(rates)
    per_worker = users / wall_s / workers
    among = f"{workers} worker{'s' if workers > 1 else ''}, {users} users"
    yield Result(
        name=f"key sets a second and worker through the KMS service, {among}",
        value=per_worker,
        unit="1/s",
        lower_is_better=False,
        runs=len(rates),
        spread=spread,
        aim=_AIM_PER_CORE,
    )
    yield Result(
        name=f"a month's rotation of {_ROTATED_USERS // 10**6} million users, projected from {among}",
        value=_ROTATED_USERS / (per_worker * workers) / 3600,
        unit="h",
        lower_is_better=True,
        runs=len(rates),
        spread=_ROTATED_USERS / (per_worker * workers) / 3600 * spread / statistics.median(rates),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shift:
    """One worker's work: when it began and ended, and the key sets a second of each batch of requests."""

    began_s: float
    ended_s: float
    rates: tuple[float, ...]


def _found_with_users(folder: Path, users: int) -> None:
    plan = KmsPlan(
        uri="kms.bench.example",
        namespace=("sip:*",),
        uid_scheme=UidScheme.HASHED_UID,
        key_period_s=_MONTH_S,
        demo_seed=1,
    )
    home = KmsHome.found(folder, plan, passphrase_file=None, database_url=None, now=_wall())
    with home.database.begin() as records:
        for number in range(users + _WARM_UP_USERS):
            records.add_user(_name(number))
            records.put_grant(_name(number), Grant(uri=_uri(number)))
            records.add_certificate(_fingerprint(number), user=_name(number))
    home.database.close()


def _work_together(folder: Path, users: int, workers: int) -> list[_Shift]:
    """Share the users among worker processes, which begin together."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers)
    shares = [range(worker, users, workers) for worker in range(workers)]
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_wait_at, initargs=(barrier,)) as pool:
        return list(pool.map(_work, [folder] * workers, shares, [users] * workers, range(workers)))


def _wait_at(barrier: Barrier) -> None:
    """Initialise a worker process with the barrier at which all of them wait."""
    global _start_line
    _start_line = barrier


_start_line: Barrier


def _work(folder: Path, numbers: range, warm_up_from: int, worker: int) -> _Shift:
    """Serve `numbers`, a user each, after some users that build the tables."""
    service = KmsHome.open(folder).unseal(
        passphrase_file=None, clocks=Clocks(wall=_wall, lab_ntp_s=lambda: _LAB_NTP_S), stream=f"bench-{worker}"
    )
    _serve(service, range(warm_up_from, warm_up_from + _WARM_UP_USERS))
    _start_line.wait(_START_TIMEOUT_S)
    rates = []
    began_s = ended_s = time.perf_counter()
    for first in range(0, len(numbers), MAX_ORDERS_AT_ONCE):
        together = numbers[first : first + MAX_ORDERS_AT_ONCE]
        before_s = ended_s
        _serve(service, together)
        ended_s = time.perf_counter()
        rates.append(len(together) / (ended_s - before_s))
    return _Shift(began_s=began_s, ended_s=ended_s, rates=tuple(rates))


def _serve(service: KmsService, numbers: range) -> list[bytes]:
    """The octets that answer as many users' requests for keys as the server takes at once under load."""
    answers = service.issue([KeyOrder(fingerprint=_fingerprint(number), uri=_uri(number)) for number in numbers])
    return [encode(_granted(answer)) for answer in answers]


def _granted(answer: KeysResponse | KmsRefusal) -> KeysResponse:
    if isinstance(answer, KmsRefusal):
        raise answer
    return answer


def _name(number: int) -> str:
    return f"user-{number}"


def _uri(number: int) -> str:
    return f"sip:user-{number}@bench.example"


def _fingerprint(number: int) -> str:
    return hashlib.sha256(_name(number).encode()).hexdigest()


def _wall() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
