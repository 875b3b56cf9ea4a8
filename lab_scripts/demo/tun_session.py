"""The part of a run that TUN interfaces add: two namespaces, and unmodified programs that talk through the two UEs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lab_scripts.demo.namespaces import Namespace, check_tun
from lab_scripts.demo.plan import L2_IDS
from lab_scripts.demo.programs import CLIENT, INTERFACE, SERVER, Program, ProgramRunner, usual_programs
from lab_scripts.demo.ssh_login import ssh_login
from lab_scripts.runs.supervisor import Supervisor, Take
from prose_link.event_stream import TimedEvent
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.userplane.addresses import own_addresses

UES = (CLIENT, SERVER)


class TunSession:
    """Namespaces of both UEs, and the programs to run; use as a context manager.

    Args:
        programs: what to run; ping, iperf3 and ssh where nothing is named.

    Raises:
        LabError: no permission, or a program that is needed is not installed.
    """

    def __init__(self, programs: Sequence[Program] = ()) -> None:
        check_tun()
        self._wants_ssh = not programs
        self._programs = tuple(programs) or usual_programs()
        self._namespaces: dict[str, Namespace] = {}
        self._stack = ExitStack()

    def __enter__(self) -> TunSession:
        with ExitStack() as stack:
            for name in UES:
                self._namespaces[name] = namespace = Namespace()
                stack.callback(namespace.close)
            if self._wants_ssh:
                self._programs += stack.enter_context(ssh_login())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    @property
    def userplane_sections(self) -> dict[str, dict[str, Any]]:
        """The `[userplane]` section of each UE's configuration."""
        return {
            name: {"kind": "tun", "interface": INTERFACE, "netns": namespace.path, "ipv4": True}
            for name, namespace in self._namespaces.items()
        }

    def play(self, supervisor: Supervisor, take: Take, logs: Path) -> None:
        """Run the programs once both UEs have the link, then switch the UEs off.

        Args:
            supervisor: where both UEs have been started.
            take: is given all that is said, and the programs' results as events of UE-A.
            logs: folder for what the programs say.
        """
        linked: set[str] = set()
        last: TimedEvent[object] | None = None
        with ProgramRunner(self._programs, self._namespaces, self._words(), logs) as runner:
            for said in supervisor.lines("the link and the programs over it"):
                take(said.name, said.event)
                last = said.event if isinstance(said.event, TimedEvent) else last
                if last is None:
                    continue
                if isinstance(last.event, LinkEstablished):
                    linked.add(last.source)
                if linked == set(UES) and (ended := runner.advance()) is not None:
                    take(CLIENT, TimedEvent(utc_ns=last.utc_ns, source=CLIENT, seq=last.seq, event=ended))
                if runner.done:
                    break
        self._switch_off(supervisor, take)

    def _switch_off(self, supervisor: Supervisor, take: Take) -> None:
        for name in UES:
            supervisor.end(name)
        waited_for = set(UES)
        for said in supervisor.lines(lambda: " and ".join(sorted(waited_for))):
            take(said.name, said.event)
            if said.event is None:
                waited_for.discard(said.name)
            if not waited_for:
                return

    def _words(self) -> dict[str, str]:
        server = own_addresses(L2_IDS[SERVER], ipv4=True)
        return {
            "peer6": f"{server.link_local}%{INTERFACE}",
            "peer4": str(server.ipv4),
            "interface": INTERFACE,
        }
