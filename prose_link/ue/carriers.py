"""Opens the carriers that a UE's configuration names beside direct radio."""

from __future__ import annotations

from prose_link.carriers.direct import Direct
from prose_link.carriers.protocol import Carrier, CarrierParts
from prose_link.carriers.registry import open_carrier
from prose_link.config.ue import ConfigError, UeConfig
from prose_link.event_stream import EventStream
from prose_link.pc5s.core.timers import TimerError, TimerValues
from prose_link.pc5s.wire.party import CarrierError
from prose_link.randomness import generator
from prose_link.ue.clock import UeClock
from prose_link.ue.phone_book import PhoneBook


def open_carriers(
    config: UeConfig,
    timers: TimerValues,
    direct: Direct,
    clock: UeClock,
    phone_book: PhoneBook,
    stream: EventStream,
) -> tuple[Carrier, ...]:
    """Open the carriers of the configuration.

    Raises ConfigError if one can't be opened; none stays open then.
    """
    opened: list[Carrier] = []
    try:
        for name, options in config.carriers.options.items():
            parts = CarrierParts(
                identity=config.identity,
                l2_id=config.l2_id,
                direct=direct,
                now=lambda: clock.now,
                random_bytes=generator(config.seed, config.name, f"carrier {name}").bytes,
                emit=lambda event: stream.emit(event, clock.now),
                asserted=lambda number: phone_book.asserted(number, clock.own.ntp_s),
            )
            opened.append(open_carrier(name, options, parts))
            timers.check_carrier(opened[-1].traits)
    except (CarrierError, TimerError) as error:
        for carrier in opened:
            carrier.close()
        raise ConfigError(f"[carriers]: {error}") from error
    return tuple(opened)
