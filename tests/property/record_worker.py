"""A process that holds a device's record and does what it is told: a JSON command a line in, a JSON answer a line out.

`die` names a system call and a count: at that call the process writes half of what it was to write, and kills itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from security.at_rest.sealing import Seal
from security.device import record as record_module
from security.device.record import DeviceRecord, RecordError

NOW = 3_982_000_000
record_module.COMPACT_ABOVE_ENTRIES = 12
REAL: dict[str, Any] = {"write": os.write, "ftruncate": os.ftruncate, "replace": Path.replace}


def arm(call: str, nth: int) -> None:
    """Let the process die at the nth use of a call within this command; a write is half done by then."""
    left = [nth]
    real = REAL[call]

    def deadly(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] > 0:
            return real(*arguments)
        if call == "write":
            real(arguments[0], arguments[1][: len(arguments[1]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")

    setattr(Path if call == "replace" else os, call, deadly)


def main() -> None:
    os.fsync = lambda handle: None  # a process is killed here, not the machine
    held: DeviceRecord | None = None
    for line in sys.stdin:
        command = json.loads(line)
        name, arguments = command["do"], command.get("with", [])
        if "die" in command:
            arm(*command["die"])
        try:
            if name == "open":
                path, log2_n, salt, key, now = arguments
                seal = Seal(log2_n=log2_n, salt=bytes.fromhex(salt), key=bytes.fromhex(key))
                held = DeviceRecord(Path(path), seal, device="tel:+1", now_ntp_s=now, new=not Path(path).exists())
                answer: object = held.was_lost
            elif held is None:
                answer = "nothing is open"
            elif name == "remember":
                digest, signer, now = arguments
                answer = held.remember(bytes.fromhex(digest), signer=signer, expires_ntp_s=now + 300, now_ntp_s=now)
            elif name == "race":
                numbers = range(*arguments)
                answer = [
                    number
                    for number in numbers
                    if held.remember(number.to_bytes(32), signer=f"{number % 8}", expires_ntp_s=NOW, now_ntp_s=NOW)
                ]
            elif name == "contains":
                answer = held.contains(bytes.fromhex(arguments[0]))
            elif name == "raise_mark":
                held.raise_mark(*arguments)
                answer = True
            elif name == "mark":
                answer = held.mark(*arguments)
            elif name == "raise_floor":
                held.raise_floor(*arguments)
                answer = held.time_floor_ntp_s
            else:
                held.compact(now_ntp_s=arguments[0])
                answer = True
        except RecordError as error:
            answer = f"error: {error}"
        os.write, os.ftruncate, Path.replace = REAL["write"], REAL["ftruncate"], REAL["replace"]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
