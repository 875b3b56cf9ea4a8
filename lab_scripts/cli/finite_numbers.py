"""Numbers on the command line are finite: Python's float() takes nan, inf and 1e400, but no option does."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def refuse_endless_numbers(command: Any) -> None:
    """Make each option and argument of a command, and of the commands in it, refuse numbers that are not finite."""
    for parameter in command.params:
        parameter.process_value = _finite(parameter, parameter.process_value)
    for inner in getattr(command, "commands", {}).values():
        refuse_endless_numbers(inner)


def _finite(parameter: Any, process: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def checked(context: Any, value: Any) -> Any:
        import typer

        processed = process(context, value)
        for item in processed if isinstance(processed, list | tuple) else (processed,):
            if isinstance(item, float) and not math.isfinite(item):
                raise typer.BadParameter(f"{item} is not a finite number.", ctx=context, param=parameter)
        return processed

    return checked
