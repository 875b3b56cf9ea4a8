"""The `pc5lab` command: mounts the subcommands, loads only the one that is called, turns errors into exit codes.

Until a command is chosen only the standard library is imported: `doctor` must work on a machine where the lab's
packages, or those it needs, are missing or belong to another program.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from lab_scripts.cli.finite_numbers import refuse_endless_numbers
from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.foreign_packages import foreign_packages, way_out
from lab_scripts.kernel_cache import use_kernel_cache
from lab_scripts.named_pipes import pipes_with_another_end
from lab_scripts.runs.stop_signals import Interrupts, forget_handled_interruptions, interrupts
from lab_scripts.standard_streams import flush_streams, give_up_failed_streams, is_about_a_stream, prepare_streams
from lab_scripts.system_errors import in_words, is_about_the_machine

if TYPE_CHECKING:
    import typer

COMMANDS: dict[str, str] = {
    "demo": "Run the main job: two UEs find each other, agree a key and carry protected IP traffic.",
    "doctor": "Check radios, serial gear, libraries and permissions.",
    "kms": "Run a key management server: init, serve, enrol, revoke, audit.",
    "ue": "Run one UE.",
    "rf": "Serve the RF emulator.",
    "phy": "Generate or decode one waveform.",
    "mikey": "Create, open or show a MIKEY-SAKKE I_MESSAGE.",
    "capture": "Show a capture, or decrypt it with a key log.",
    "config": "Check and show configuration files; preconfigurations to RRC and back.",
    "bench": "Measure speed and size.",
    "warm-up": "Compile the hot kernels once, ahead of the first run.",
}
"""Subcommand -> one line of help; each lives in `lab_scripts.cli.<name>` as a typer app called `app`."""


def build(called: str | None) -> typer.Typer:
    """The command line with only the subcommand `called` loaded; of the others, the names and help lines."""
    import typer

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
    """A placeholder in the list of commands, for a subcommand whose module was not needed."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with one of `ExitCode`."""
    prepare_streams()
    code = run(argv)
    forget_handled_interruptions()
    sys.exit(code)


def run(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    streams = sys.stdout, sys.stderr
    with interrupts() as signalled:
        try:
            code = _ended(arguments, signalled)
            flush_streams()
        except BaseException as error:
            sys.stdout, sys.stderr = streams  # the command line library may have put its own there
            code = _exit_code(error, signalled, arguments)
        give_up_failed_streams()
    return code


def _ended(arguments: list[str], signalled: Interrupts) -> int:
    """Run the command. Returns its exit code, or raises its exception."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    use_kernel_cache()
    called = next((word for word in arguments if not word.startswith("-")), None)
    if called == "doctor":
        if not _has_command_line_library():
            return _doctor_alone("--json" in arguments)
    elif called in COMMANDS and (foreign := foreign_packages()):
        raise LabError(f"this is not pc5lab's package: {'; '.join(foreign)}", hint=f"{way_out()}; see pc5lab doctor")
    import typer

    command = typer.main.get_command(build(called))
    refuse_endless_numbers(command)
    with pipes_with_another_end(arguments):
        try:
            result: Any = command.main(args=arguments, prog_name="pc5lab", standalone_mode=False)
        except typer.Abort as abort:  # it stands for an error that it hides, or for a prompt that was left
            raise abort.__cause__ or LabError("interrupted", code=ExitCode.INTERRUPTED) from None
    code = int(result) if isinstance(result, int) else int(ExitCode.OK)
    if code == ExitCode.INTERRUPTED and signalled.by is not None:
        return _say("interrupted", ExitCode.INTERRUPTED)
    return code


def _has_command_line_library() -> bool:
    try:
        importlib.import_module("typer")
    except Exception:  # half installed, it raises anything
        return False
    return True


def _doctor_alone(as_json: bool) -> int:
    """The findings of `doctor` if its command line can't be loaded."""
    from lab_scripts.doctor_checks import all_well, examine, plain_report

    findings = examine()
    print(plain_report(findings, as_json=as_json))
    return int(ExitCode.OK if all_well(findings) else ExitCode.FAILED)


def _exit_code(error: BaseException, signalled: Interrupts, arguments: list[str]) -> int:
    """Print the reason for the end of a command, and return its exit code."""
    if isinstance(error, LabError):
        return _say(str(error), error.exit_code, error.hint)
    if signalled.by is not None:  # native code turns KeyboardInterrupt into errors of its own
        return _say("interrupted", ExitCode.INTERRUPTED)
    if _is_reader_gone(error):
        return int(ExitCode.READER_GONE)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(ExitCode.FAILED if error.code else ExitCode.OK)
    show = getattr(error, "show", None)
    if callable(show):  # a usage error of the command line library, which words it itself
        show()
        return int(ExitCode.USAGE)
    if isinstance(error, KeyboardInterrupt):
        return _say("interrupted", ExitCode.INTERRUPTED)
    carried = getattr(error, "exit_code", None)
    if isinstance(carried, int):  # an error of the packages, whose class knows what it means
        return _say(str(error), ExitCode.FAILED if _is_of_a_full_disk(error) else ExitCode(carried))
    return _unexpected(error, arguments)


def _is_of_a_full_disk(error: BaseException) -> bool:
    """Whether an error reports a lack of disk space: then the run failed, whatever its class."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno is not None and "No space left" in str(error)


def _is_text(argument: str) -> bool:
    """Whether an argument is text. Octets that are not UTF-8 name a file well, but nothing that is stored or sent."""
    return not any("\ud800" <= character <= "\udfff" for character in argument)


def _is_reader_gone(error: BaseException) -> bool:
    """Whether a command ended because the reader of its output has gone. Libraries turn that into SystemExit(1)."""
    cause = error.__context__ if isinstance(error, SystemExit) else error
    return isinstance(cause, BrokenPipeError) and is_about_a_stream(cause)


def _unexpected(error: BaseException, arguments: list[str]) -> int:
    """Handle an error of no class of the lab: a fault of the machine or of the user if that can be seen, else a bug."""
    if isinstance(error, OSError) and is_about_the_machine(error):
        message, code, hint = in_words(error)
        return _say(message, code, hint)
    if isinstance(error, MemoryError):
        return _say(f"out of memory: {error}" if str(error) else "out of memory", ExitCode.FAILED)
    odd = next((argument for argument in arguments if not _is_text(argument)), None)
    if odd is not None:
        return _say(f"not text in UTF-8: the argument {odd!a}", ExitCode.USAGE)
    if os.environ.get("PC5LAB_DEBUG"):
        raise error
    return _say(f"this is a bug: {type(error).__name__}: {error}", ExitCode.BUG, "set PC5LAB_DEBUG=1 for the traceback")


def _say(message: str, code: ExitCode, hint: str = "") -> int:
    """Print a message to the user; an error in printing changes no exit code."""
    message = message.replace("No space left on device", "no space left on device")
    with contextlib.suppress(OSError, ValueError):
        print(f"pc5lab: {message}", file=sys.stderr)
        if hint:
            print(f"  hint: {hint}", file=sys.stderr)
        sys.stderr.flush()
    return int(code)


if __name__ == "__main__":
    main()
