"""Figures that both kinds of demo compute from the events of a run."""

from __future__ import annotations

from lab_scripts.events.selection import Events, between_ms, events_of
from prose_link.userplane.events import TransferReceived


def air_time_ms(start_ns: int | None, end_ns: int | None) -> float | None:
    """Time between two moments in ms, to the microsecond; None where one of them has not come."""
    elapsed_ms = between_ms(start_ns, end_ns)
    return None if elapsed_ms is None else round(elapsed_ms, 3)


def in_ms(value: float | None) -> str:
    """A time as a table shows it."""
    return "-" if value is None else f"{value:.1f} ms"


def goodput_kbps(events: Events) -> float | None:
    """Octets of all transfers by the time they took together, kbit/s; None where there was none."""
    transfers = [one.event for one in events_of(events, TransferReceived)]
    seconds = sum(transfer.finished_s - transfer.started_s for transfer in transfers)
    return round(sum(transfer.octets for transfer in transfers) * 8e-3 / seconds, 1) if seconds else None
