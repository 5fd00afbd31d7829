"""The operator's command: one line per command, and how any error becomes a sentence and an exit code."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import typer
from typer.exceptions import TyperException

from local_stack.errors import StackError
from mrm.console import FAILED, MISUSED, STOPPED, CommandError, print_error, print_json, report_error, wants_traceback

COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("processes", "up"),
    "down": ("processes", "down"),
    "status": ("status", "status"),
    "logs": ("logs", "logs"),
    "token": ("token", "token"),
    "verify": ("verify", "verify"),
    "doctor": ("doctor", "doctor"),
    "demo": ("demo.command", "demo"),
    "replay": ("replay", "replay"),
    "rebuild": ("rebuild", "rebuild"),
    "situation": ("situation", "app"),
    "check": ("check", "check"),
    "export": ("exchange_commands", "export_app"),
    "import": ("exchange_commands", "import_app"),
    "audit": ("audit", "app"),
    "device": ("device", "app"),
    "keys": ("keys", "app"),
}
"""Every command, with its module and what it is called there; the order is that of `mrm --help`."""


def commands_for(words: Sequence[str]) -> typer.Typer:
    """Make `mrm` with the command asked for, or with all: importing every one takes longer than most of them run."""
    app = typer.Typer(
        name="mrm",
        help="Runs and looks after an installation of the UN Monitoring and Reporting Mechanism on grave violations against children.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    for name in words[:1] if words and words[0] in COMMANDS else COMMANDS:
        module, attribute = COMMANDS[name]
        command = getattr(import_module(f"mrm.{module}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def root() -> None:
    """Keep `mrm` a group of commands however many there are."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code: 0 done, 1 failed, 2 misused, 130 ended by Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        outcome = commands_for(words)(args=words, prog_name="mrm", standalone_mode=False)
    except TyperException as error:
        return _misused(error, as_json=as_json)
    except (typer.Abort, KeyboardInterrupt):
        outcome = STOPPED
    except (StackError, CommandError) as error:
        return report_error(error, as_json=as_json)
    except Exception as error:
        if wants_traceback():
            raise
        sentence = f"Something unexpected went wrong ({type(error).__name__})."
        remedy = "Set MRM_TRACEBACK=1 and run the command again to see where."
        print_error(sentence, remedy)
        return _explained(FAILED, sentence, remedy, as_json=as_json)
    if outcome == STOPPED:  # also typer's own answer to Ctrl-C, where a command has none
        print_error("Stopped.", "")
        return _explained(STOPPED, "Stopped.", "", as_json=as_json)
    return outcome if isinstance(outcome, int) else 0


def _misused(error: TyperException, *, as_json: bool) -> int:
    """Show what is wrong with the command line, with its usage."""
    show, message = getattr(error, "show", None), getattr(error, "format_message", None)
    if callable(show):
        show()
    sentence = str(message()) if callable(message) else str(error)
    return _explained(MISUSED, sentence, "`mrm --help` lists the commands.", as_json=as_json)


def _explained(code: int, sentence: str, remedy: str, *, as_json: bool) -> int:
    if as_json:
        print_json({"error": {"sentence": sentence, "remedy": remedy}})
    return code
