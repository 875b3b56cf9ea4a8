"""The `pc5lab` command: mounts the subcommands, loads only the one that is called, turns errors into exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import typer

from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.kernel_cache import use_kernel_cache

COMMANDS: dict[str, str] = {
    "demo": "Run the main job: two UEs find each other, agree a key and carry protected IP traffic.",
    "doctor": "Check radios, serial gear, libraries and permissions.",
    "kms": "Run a key management server: init, serve, enrol, revoke, audit.",
    "ue": "Run one UE.",
    "rf": "Serve the RF emulator.",
    "phy": "Generate or decode one waveform.",
    "mikey": "Create, open or show a MIKEY-SAKKE I_MESSAGE.",
    "capture": "Show a capture, or decrypt it with a key log.",
    "bench": "Measure speed and size.",
    "warm-up": "Compile the hot kernels once, ahead of the first run.",
}
"""Subcommand -> one line of help; each lives in `lab_scripts.cli.<name>` as a typer app called `app`."""


def build(called: str | None) -> typer.Typer:
    """The command line with only the subcommand `called` loaded; of the others, the names and help lines."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        help="A ProSe sidelink (PC5) radio lab. Start with: pc5lab demo",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, line in COMMANDS.items():
        if name == called:
            _mount(app, name, importlib.import_module(f"lab_scripts.cli.{name.replace('-', '_')}").app)
        else:
            app.command(name, help=line)(_not_called)
    return app


def _mount(app: typer.Typer, name: str, subcommand: typer.Typer) -> None:
    """Add a subcommand: a group as it is, one without commands of its own as a plain command."""
    alone = subcommand.registered_callback.callback if subcommand.registered_callback else None
    if subcommand.registered_commands or subcommand.registered_groups or alone is None:
        app.add_typer(subcommand, name=name)
    else:
        app.command(name)(alone)


def _not_called() -> None:
    """Stands in the list of commands for a subcommand whose module was not needed."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with one of `ExitCode`."""
    sys.exit(run(argv))


def run(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    use_kernel_cache()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = sys.argv[1:] if argv is None else argv
    called = next((word for word in arguments if not word.startswith("-")), None)
    try:
        command = typer.main.get_command(build(called))
        result: Any = command.main(args=arguments, prog_name="pc5lab", standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _say("interrupted", ExitCode.INTERRUPTED)
    except LabError as error:
        return _say(str(error), error.code, error.hint)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.OK)
    except Exception as error:
        return _unexpected(error)
    return int(result) if isinstance(result, int) else int(ExitCode.OK)


def _unexpected(error: Exception) -> int:
    """An error nobody turned into a message: the user's own mistake where its class says so, else a bug."""
    show = getattr(error, "show", None)
    if callable(show):  # a usage error of the command line library, which words it itself
        show()
        return int(ExitCode.USAGE)
    if any(base.__name__ in _PACKAGE_ERRORS for base in type(error).__mro__):
        return _say(str(error), ExitCode.USAGE)
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return _say(f"{error.strerror}: {error.filename}", ExitCode.USAGE)
    if os.environ.get("PC5LAB_DEBUG"):
        raise error
    return _say(f"this is a bug: {type(error).__name__}: {error}", ExitCode.BUG, "set PC5LAB_DEBUG=1 for the traceback")


_PACKAGE_ERRORS = {"RadioError", "SecurityError", "ProseLinkError"}


def _say(message: str, code: ExitCode, hint: str = "") -> int:
    typer.echo(f"pc5lab: {message}", err=True)
    if hint:
        typer.echo(f"  hint: {hint}", err=True)
    return int(code)


if __name__ == "__main__":
    main()
