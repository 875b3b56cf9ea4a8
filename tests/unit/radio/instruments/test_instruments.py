"""Protocol simulators on pseudo-terminals speak the instruments' grammar; no instrument has been tried."""

import contextlib
import os
import pty
import threading
import time
import tty

import pytest

from radio.instruments.attenuator import MiniCircuitsAttenuator, WeinschelUnit
from radio.instruments.gpsdo import Gpsdo
from radio.instruments.nmea import parse_nmea
from radio.instruments.serial_line import InstrumentError, InstrumentLost, InstrumentTimeout, SerialLine


class Simulator:
    """Answers commands on a pty: `answer(command)` gives the octets to send back."""

    def __init__(self, answer, *, pieces=False):
        self._answer = answer
        self._pieces = pieces
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with contextlib.suppress(OSError):
            self._answer_commands()

    def _answer_commands(self):
        pending = b""
        while True:
            pending += os.read(self._master, 100)
            while b"\r\n" in pending:
                command, _, pending = pending.partition(b"\r\n")
                self.say(self._answer(command.decode()))

    def say(self, octets):
        for piece in [octets[i : i + 1] for i in range(len(octets))] if self._pieces else [octets]:
            os.write(self._master, piece)

    def unplug(self):
        os.close(self._slave)
        os.close(self._master)


def line(answer, **options):
    simulator = Simulator(answer, pieces=options.pop("pieces", False))
    return simulator, SerialLine(simulator.path, timeout_s=0.4)


class Rcdat:
    def __init__(self):
        self.value = 0.0

    def __call__(self, command):
        if command == ":MN?":
            return b"MN=RCDAT-6000-90\r\n"
        if command == ":ATT?":
            return f"{self.value:.2f}\r\n".encode()
        if command.startswith(":SETATT="):
            wanted = float(command[8:])
            self.value = min(wanted, 90.0)
            return b"1\r\n" if wanted <= 90 else b"2\r\n"
        return b"0\r\n"


@pytest.mark.parametrize("pieces", [False, True])
def test_mini_circuits_attenuator(pieces):
    _, port = line(Rcdat(), pieces=pieces)
    attenuator = MiniCircuitsAttenuator(port)
    assert attenuator.model() == "RCDAT-6000-90"
    attenuator.set_attenuation_db(12.25)
    assert attenuator.attenuation_db() == 12.25
    with pytest.raises(InstrumentError, match="limit"):
        attenuator.set_attenuation_db(95.0)
    for wrong in (-1.0, 3.1):
        with pytest.raises(InstrumentError, match=r"multiple|out of range"):
            attenuator.set_attenuation_db(wrong)


def test_an_echo_is_skipped_and_junk_is_an_error():
    _, port = line(lambda command: command.encode() + b"\r\n" + Rcdat()(command))
    assert MiniCircuitsAttenuator(port).model() == "RCDAT-6000-90"
    _, port = line(lambda command: b"\xff\x00?!\r\n")
    with pytest.raises(InstrumentError, match="instead of a number"):
        MiniCircuitsAttenuator(port).attenuation_db()
    _, port = line(lambda command: b"x" * 3000)
    with pytest.raises(InstrumentError, match="without a line end"):
        MiniCircuitsAttenuator(port).attenuation_db()


class Weinschel:
    def __init__(self, stuck=False):
        self.value, self.relays, self.stuck = 0, {}, stuck

    def __call__(self, command):
        match command.split():
            case ["DEVICE", "ATTN", "3", value]:
                self.value = self.value if self.stuck else int(value)
            case ["DEVICE?", "ATTN", "3"]:
                return f"{self.value}\r\n".encode()
            case ["DEVICE", "RELAY", "3", relay, state]:
                self.relays[int(relay)] = state == "1"
        return b""


def test_weinschel_attenuator_and_relay():
    unit = Weinschel()
    _, port = line(unit)
    device = WeinschelUnit(port, address=3)
    device.set_attenuation_db(30.5)
    assert (unit.value, device.attenuation_db()) == (3050, 30.5)
    device.set_relay(2, closed=True)
    assert device.attenuation_db() == 30.5
    assert unit.relays == {2: True}
    with pytest.raises(InstrumentError, match="1 to 8"):
        device.set_relay(9, closed=True)
    _, port = line(Weinschel(stuck=True))
    with pytest.raises(InstrumentError, match="stands at"):
        WeinschelUnit(port, address=3).set_attenuation_db(10)


def sentence(body):
    checksum = 0
    for octet in body.encode():
        checksum ^= octet
    return f"${body}*{checksum:02X}\r\n".encode()


RMC = "GPRMC,123519.00,A,4807.038,N,01131.000,E,022.4,084.4,230326,003.1,W"


def test_gpsdo_lock_state_among_nmea():
    answers = {"SYNC:LOCKed?": b"1", "SYNC:HOLD:DUR?": b"12,0", "SYNC:TINT?": b"-2.3E-09"}
    simulator, port = line(lambda c: sentence(RMC) + c.encode() + b"\r\nscpi > " + answers[c] + b"\r\n", pieces=True)
    gpsdo = Gpsdo(port)
    assert gpsdo.locked()
    holdover = gpsdo.holdover()
    assert (holdover.duration_s, holdover.active) == (12.0, False)
    assert gpsdo.time_interval_s() == pytest.approx(-2.3e-9)
    simulator.say(b"$GPRMC,junk*00\r\n" + sentence("GPGGA,1,2") + sentence(RMC))
    fix = gpsdo.next_fix()
    assert fix.valid
    assert fix.utc.isoformat() == "2026-03-23T12:35:19+00:00"


def test_nmea_of_a_known_sentence():
    fields = parse_nmea("$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47")
    assert fields[0] == "GPGGA"
    for wrong in ("$GPGGA,1*00", "GPGGA,1*00", "$GPGGA,1"):
        with pytest.raises(InstrumentError):
            parse_nmea(wrong)


def test_silence_and_unplugging():
    simulator, port = line(lambda command: b"")
    began = time.monotonic()
    with pytest.raises(InstrumentTimeout):
        Gpsdo(port).locked()
    assert time.monotonic() - began < 2
    simulator.unplug()
    with pytest.raises((InstrumentLost, InstrumentTimeout)):
        Gpsdo(port).locked()
    with pytest.raises(InstrumentLost, match="no-such"):
        SerialLine("/dev/no-such-line")
