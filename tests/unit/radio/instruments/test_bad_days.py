"""What receivers and attenuators do on a bad day: never an old or a false value as a fresh one."""

import os
import pty
import tty

import pytest

from radio.instruments import gpsdo as gpsdo_module
from radio.instruments.attenuator import MiniCircuitsAttenuator, WeinschelUnit
from radio.instruments.gpsdo import Gpsdo
from radio.instruments.serial_line import InstrumentError, InstrumentTimeout, SerialLine


class Receiver:
    """A pty that says what it is told to say, and a driver on its other end. Nothing is waited for: it is in order."""

    def __init__(self):
        self._master, slave = pty.openpty()
        tty.setraw(self._master)
        tty.setraw(slave)
        self.line = SerialLine(os.ttyname(slave), timeout_s=0.3)
        self.gpsdo = Gpsdo(self.line)

    def says(self, *pieces):
        for piece in pieces:
            os.write(self._master, piece)
        return self

    def fix(self):
        return self.gpsdo.next_fix(timeout_s=0.3)


def sentence(body):
    checksum = 0
    for octet in body.encode():
        checksum ^= octet
    return f"${body}*{checksum:02X}\r\n".encode()


def rmc(second=5, *, talker="GP", status="A", date="010326", mode="A", clock=None):
    clock = f"1200{second:02d}.00" if clock is None else clock
    return sentence(f"{talker}RMC,{clock},{status},,,,,,,{date},,,{mode}")


@pytest.mark.parametrize(
    "before",
    [
        b"scpi > ",
        b"SCPI > scpi > ",
        b"\x00\xff\x80",
        b"$GPRMC,1200",
        b"E-113> $",
        b"$GPGGA,1*00\r\n$",
        rmc(4)[:-8] + b"\r\n",
        rmc(4).replace(b"120004", b"120003"),
        b"\r\n\n\r\n",
        b"x" * 3000 + b"\r\n",
    ],
)
def test_prompts_noise_and_damage_before_a_sentence(before):
    assert Receiver().says(before, rmc(5)).fix().utc.isoformat() == "2026-03-01T12:00:05+00:00"


@pytest.mark.parametrize("talker", ["GP", "GN", "GL", "GA", "GB", "BD", "GQ"])
def test_every_talker(talker):
    assert Receiver().says(rmc(5, talker=talker)).fix().valid


@pytest.mark.parametrize(("status", "mode", "valid"), [
    ("A", "A", True), ("A", "D", True), ("V", "N", False), ("A", "E", False), ("A", "S", False), ("A", "", True),
    ("", "A", False),
])  # fmt: skip
def test_only_a_fix_is_vouched_for(status, mode, valid):
    assert Receiver().says(rmc(5, status=status, mode=mode)).fix().valid is valid


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (rmc(date="150706"), "rollover"),
        (rmc(date="060180"), "rollover"),
        (rmc(date="010366"), "rollover"),
        (rmc(date=""), "without date"),
        (rmc(date="300226"), "without date"),
        (rmc(clock="235960.00", date="311226"), "without date"),
        (rmc(clock="12005"), "without date"),
        (rmc(clock="250000"), "without date"),
        (sentence("GNGGA,120005,,,,,1") + sentence("GNGSV,1"), "GNGGA, GNGSV: RMC must be switched on"),
        (b"\xfe\x90\x13\r\n" * 20, "baud rate"),
        (b"", "baud rate"),
    ],
)
def test_what_names_no_time_is_told(wrong, says):
    with pytest.raises(InstrumentTimeout, match=says):
        Receiver().says(wrong).fix()
    if wrong and len(wrong) < 100:
        assert Receiver().says(wrong, rmc(7)).fix().utc.second == 7


def test_zda_where_there_is_no_rmc():
    gga, zda = sentence("GNGGA,120006.00,,,,,1,08"), sentence("GNZDA,120006.00,01,03,2026,00,00")
    first = sentence("GNZDA,120005.00,01,03,2026,00,00")
    fix = Receiver().says(first, gga, zda).fix()
    assert (fix.utc.second, fix.valid) == (6, True)
    assert not Receiver().says(first, zda).fix().valid
    assert Receiver().says(zda, rmc(6)).fix().valid


def test_a_sentence_that_waited_too_long_is_not_fresh(monkeypatch):
    """The clock is moved on by hand: the sentence has waited in the system's buffer."""
    receiver = Receiver().says(rmc(5))
    receiver.line._empty_at_s -= 0.5
    assert receiver.fix().age_s >= 0.5
    receiver = Receiver().says(rmc(5))
    receiver.line._empty_at_s -= 60
    with pytest.raises(InstrumentTimeout, match="old"):
        receiver.fix()
    assert receiver.says(rmc(6)).fix().utc.second == 6


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def monotonic(self):
        self.now_s += 1e-4
        return self.now_s


def test_a_time_that_stands_still_or_jumps(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(gpsdo_module, "time", clock)
    receiver = Receiver()
    for second in (5, 6, 6, 7):
        assert receiver.says(rmc(second)).fix().utc.second == second
        clock.now_s += 0.5
    clock.now_s += 5.0  # far more than the line's age, which is by the machine's own clock
    with pytest.raises(InstrumentError, match="stands still"):
        receiver.says(rmc(7)).fix()
    with pytest.raises(InstrumentError, match="jumped"):
        receiver.says(rmc(50)).fix()
    clock.now_s += 1.0
    assert receiver.says(rmc(51)).fix().utc.second == 51, "a time that was put right goes on"
    with pytest.raises(InstrumentError, match="jumped"):
        receiver.says(rmc(2)).fix()


class Answers:
    """A line on which an instrument gives these answers, one to each question."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []

    def send(self, command):
        self.sent.append(command)

    def query(self, command):
        self.sent.append(command)
        return self.answers.pop(0)

    def read_line(self, *, timeout_s=None):
        if not self.answers:
            raise InstrumentTimeout("gave no answer in time")
        return self.answers.pop(0)


@pytest.mark.parametrize("wanted", [float("nan"), float("inf"), float("-inf"), -0.25, 1e300, 120.25, 0.1, 10.26])
def test_settings_that_can_not_be(wanted):
    for unit in (MiniCircuitsAttenuator(Answers()), WeinschelUnit(Answers(), address=3)):
        if isinstance(unit, WeinschelUnit) and wanted in (0.1, 10.26, 120.25):
            continue
        with pytest.raises(InstrumentError, match=r"out of range|multiple"):
            unit.set_attenuation_db(wanted)


def test_a_unit_that_says_yes_and_does_nothing_or_something_else():
    for shown in ("0.00", "10.00", "95.25"):
        with pytest.raises(InstrumentError, match="said yes"):
            MiniCircuitsAttenuator(Answers("1", *[shown] * 3)).set_attenuation_db(10.25)
    MiniCircuitsAttenuator(Answers("1", "0.00", "10.25")).set_attenuation_db(10.25)
    for answer in ("0", "", "OK", "11", "1 1"):
        with pytest.raises(InstrumentError, match="answered"):
            MiniCircuitsAttenuator(Answers(answer)).set_attenuation_db(10.25)
    with pytest.raises(InstrumentError, match="stands at"):
        WeinschelUnit(Answers("0", "0", "0"), address=3).set_attenuation_db(30)
    WeinschelUnit(Answers("DEVICE ATTN 3 3000", "3000"), address=3).set_attenuation_db(30)


@pytest.mark.parametrize("answer", ["nan", "inf", "1e999", "-5", "1_0", "٣", "", "12.5 dB", "1" * 400, "500"])
def test_what_is_no_attenuation_is_not_told_as_one(answer):
    with pytest.raises(InstrumentError):
        MiniCircuitsAttenuator(Answers(answer)).attenuation_db()


@pytest.mark.parametrize("answer", ["nan", "", "12.5", "0x10", "١", "9" * 30])
def test_what_is_no_hundredth_is_not_told_as_one(answer):
    with pytest.raises(InstrumentError):
        WeinschelUnit(Answers(answer, answer), address=3).attenuation_db()


@pytest.mark.parametrize("answer", ["nan,0", "1,2", "-1,0", "1", "inf,1", "1_0,1", "E-112"])
def test_what_is_no_holdover(answer):
    with pytest.raises(InstrumentError):
        Gpsdo(Answers(answer)).holdover()


def test_prompts_pile_up_before_an_answer():
    answers = ("scpi > scpi > SYNC:LOCKed?", "scpi > $GPRMC,1*00", "SCPI > sync:locked?", "scpi > 1")
    assert Gpsdo(Answers(*answers)).locked()


def test_the_answer_to_a_question_given_up_is_not_the_next_ones():
    """A unit that is slow answers the setting while the next question is asked: its `1` is no attenuation of 1 dB."""
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    line = SerialLine(os.ttyname(slave), timeout_s=0.2)
    with pytest.raises(InstrumentTimeout):
        line.query(":SETATT=10.00")
    os.write(master, b"1\r\n")
    with pytest.raises(InstrumentTimeout):
        MiniCircuitsAttenuator(line).attenuation_db()
    assert os.read(master, 100) == b":SETATT=10.00\r\n:ATT?\r\n"
