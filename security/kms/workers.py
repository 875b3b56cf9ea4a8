"""Several serving workers on one database: processes that share a port, supervised by the process that started them.

The parent binds the port without listening, so that it stays the same while workers come and go. Each worker unseals
the KMS itself, listens on the same port (SO_REUSEPORT; the system distributes connections), and has an audit stream of
its own, so that workers don't wait for each other. Workers send their events through pipes to the parent, which passes
them on with the worker's name, and announces the KMS once when all are ready.

A closed pipe shows that a worker has ended. One that was ready is started again; one that was not ready ends the whole
service, because it would fail again. A signal wakes the parent through a file descriptor. It then terminates all
workers, passes on their last events within a bounded time, and kills those that remain. A worker ends by itself if its
parent dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final

from security.errors import SecurityError
from security.identifiers import NTP_EPOCH
from security.kms.events import EventsSink, FromWorker, KmsEvent, KmsServing, KmsStopped, KmsWorkerFailed, KmsWorkerLost
from security.kms.home import KmsHome
from security.kms.server import DEFAULT_OPTIONS, ServerOptions, ending_signals, serve_until_signalled
from security.kms.service import Clocks, KmsService
from security.kms_wire.errors import KmsConfigError

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0
MAX_WORKERS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPlan:
    """The data that a worker process needs to serve a KMS. `name` names its audit stream."""

    folder: Path
    host: str
    port: int
    name: str
    passphrase_file: Path | None = None
    share_files: tuple[Path, ...] = ()
    fixed_ntp_s: int | None = None
    clock_offset_s: float = 0.0
    options: ServerOptions = DEFAULT_OPTIONS

    def service(self, stream: str) -> KmsService:
        """Unseal the KMS for one worker; raises SealError, KmsConfigError."""
        home = KmsHome.open(self.folder)
        return home.unseal(
            passphrase_file=self.passphrase_file, share_files=self.share_files, clocks=self.clocks(), stream=stream
        )

    def clocks(self) -> Clocks:
        """The wall clock, and the clock that chooses key periods: fixed, or the wall clock with an offset."""
        fixed, offset_s = self.fixed_ntp_s, self.clock_offset_s
        return Clocks(wall=_utc_now, lab_ntp_s=lambda: int(_ntp_now() + offset_s) if fixed is None else fixed)


def serve_with_workers(plan: ServingPlan, *, workers: int, emit: EventsSink) -> None:
    """Serve with several processes until SIGTERM, SIGINT or SIGHUP; a worker that ends unexpectedly is started again.

    Emits the events of the workers, `KmsServing` once when all are ready, and `KmsWorkerLost` for one that ended.
    Raises KmsConfigError if a worker can't start.
    """
    if not 1 <= workers <= MAX_WORKERS:
        raise KmsConfigError(f"a KMS has 1..{MAX_WORKERS} workers")
    with _held_port(plan.host, plan.port) as port, _wake_up_by_signals() as signalled:
        crew = _Crew(plan, port, emit)
        try:
            for number in range(1, workers + 1):
                crew.begin(number)
            while not crew.serve_events(signalled):
                pass
        finally:
            crew.stop()
    emit(KmsStopped(workers=workers))


@dataclass(slots=True, kw_only=True)
class _Worker:
    number: int
    process: SpawnProcess
    events: Connection


class _Crew:
    """The worker processes of a KMS."""

    def __init__(self, plan: ServingPlan, port: int, emit: EventsSink) -> None:
        self._plan = plan
        self._port = port
        self._emit = emit
        self._workers: dict[int, _Worker] = {}
        self._not_ready: set[int] = set()
        self._announced = False

    def begin(self, number: int) -> None:
        """Start a worker process."""
        context = multiprocessing.get_context("spawn")
        events, child_end = context.Pipe(duplex=False)
        stream = f"{self._plan.name}-{number}"
        process = context.Process(
            target=_serve, args=(self._plan, self._port, stream, child_end), name=stream, daemon=True
        )
        process.start()
        child_end.close()
        self._workers[number] = _Worker(number=number, process=process, events=events)
        self._not_ready.add(number)

    def serve_events(self, signalled: int) -> bool:
        """Wait for the next events of workers and pass them on; True when a signal asks to stop."""
        ready = wait([signalled, *(worker.events for worker in self._workers.values())], timeout=START_TIMEOUT_S)
        if self._not_ready and not ready:
            raise KmsConfigError(f"a worker did not start within {START_TIMEOUT_S:g} s")
        for worker in list(self._workers.values()):
            if worker.events in ready:
                self._take(worker)
        return signalled in ready

    def stop(self) -> None:
        """Ask every worker to end, wait, and kill those that don't."""
        for worker in self._workers.values():
            worker.process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for worker in self._workers.values():
            with contextlib.suppress(EOFError, OSError):
                while worker.events.poll(max(0.0, deadline - time.monotonic())):
                    self._pass_on(worker, worker.events.recv())
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.process.kill()
            worker.process.join()

    def _take(self, worker: _Worker) -> None:
        try:
            self._pass_on(worker, worker.events.recv())
        except (EOFError, OSError):
            self._replace(worker)

    def _replace(self, worker: _Worker) -> None:
        worker.process.join()
        name, code = worker.process.name, worker.process.exitcode
        self._emit(KmsWorkerLost(worker=name, exit_code=code))
        if worker.number in self._not_ready:
            raise KmsConfigError(f"worker {name} ended before it was ready (exit code {code})")
        self.begin(worker.number)

    def _pass_on(self, worker: _Worker, event: KmsEvent) -> None:
        match event:
            case KmsServing():
                self._not_ready.discard(worker.number)
                if not self._not_ready and not self._announced:
                    self._announced = True
                    self._emit(replace(event, workers=len(self._workers)))
            case KmsStopped():
                pass
            case KmsWorkerFailed(message=message):
                raise KmsConfigError(message)
            case _:
                self._emit(FromWorker(worker=worker.process.name, event=event))


def _serve(plan: ServingPlan, port: int, stream: str, events: Connection) -> None:
    """The main function of a worker process."""
    parent = multiprocessing.parent_process()

    def emit(event: KmsEvent) -> None:
        with contextlib.suppress(OSError):
            events.send(event)

    try:
        service = plan.service(stream)
        asyncio.run(
            serve_until_signalled(
                service,
                host=plan.host,
                port=port,
                emit=emit,
                shared_port=True,
                until_readable=parent.sentinel if parent else None,
                options=plan.options,
            )
        )
    except SecurityError as exc:
        emit(KmsWorkerFailed(message=str(exc)))


@contextlib.contextmanager
def _held_port(host: str, port: int) -> Iterator[int]:
    """Take a port, or any free one for 0, that the workers then share; raises KmsConfigError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(address)
            yield holder.getsockname()[1]
    except OSError as exc:
        raise KmsConfigError(f"can't listen on {host} port {port}: {exc.strerror}") from exc


@contextlib.contextmanager
def _wake_up_by_signals() -> Iterator[int]:
    """A file descriptor that is readable once SIGTERM, SIGINT or SIGHUP came."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    before_fd = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in ending_signals()}
    try:
        yield readable
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_fd)
        os.close(readable)
        os.close(writable)


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _ntp_now() -> float:
    return (_utc_now() - NTP_EPOCH).total_seconds()
