"""What went wrong with a radio, as the error and exit code a command ends with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lab_scripts.exit_codes import ExitCode, LabError
from radio.devices.protocol import DeviceLost, DeviceNotFound, DeviceTimeout
from radio.emulator.hub import JoinTimeout, StallTimeout, UeLostError
from radio.errors import RadioError

_TIMEOUTS = (DeviceTimeout, JoinTimeout, StallTimeout)
_HARDWARE = (DeviceLost, DeviceNotFound, UeLostError)


@contextmanager
def explained_radio_errors() -> Iterator[None]:
    """Turn errors of the radio into a LabError with the exit code that says what kind they are."""
    try:
        yield
    except _TIMEOUTS as error:
        raise LabError(str(error), code=ExitCode.TIMEOUT) from error
    except _HARDWARE as error:
        raise LabError(str(error), code=ExitCode.HARDWARE) from error
    except RadioError as error:
        raise LabError(str(error)) from error
