"""The operator's command: one line per command, and how any error becomes a sentence and an exit code."""

import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from local_stack.errors import StackError
from mrm import audit, check, doctor, exchange_commands, logs, processes, rebuild, replay, situation, status, token, verify
from mrm.console import FAILED, MISUSED, CommandError, print_error, print_json, report_error, wants_traceback
from mrm.demo import command as demo

app = typer.Typer(
    name="mrm",
    help="Runs and looks after an installation of the UN Monitoring and Reporting Mechanism on grave violations against children.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up")(processes.up)
app.command("down")(processes.down)
app.command("status")(status.status)
app.command("logs")(logs.logs)
app.command("token")(token.token)
app.command("verify")(verify.verify)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.command("replay")(replay.replay)
app.command("rebuild")(rebuild.rebuild)
app.add_typer(situation.app, name="situation")
app.command("check")(check.check)
app.add_typer(exchange_commands.export_app, name="export")
app.add_typer(exchange_commands.import_app, name="import")
app.add_typer(audit.app, name="audit")


@app.callback()
def root() -> None:
    """Keep `mrm` a group of commands however many there are."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code: 0 done, 1 failed, 2 misused."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        outcome = app(args=words, prog_name="mrm", standalone_mode=False)
    except TyperException as error:
        return _misused(error, as_json=as_json)
    except (typer.Abort, KeyboardInterrupt):
        print_error("Stopped.", "")
        return _explained(FAILED, "Stopped.", "", as_json=as_json)
    except (StackError, CommandError) as error:
        return report_error(error, as_json=as_json)
    except Exception as error:
        if wants_traceback():
            raise
        sentence = f"Something unexpected went wrong ({type(error).__name__})."
        remedy = "Set MRM_TRACEBACK=1 and run the command again to see where."
        print_error(sentence, remedy)
        return _explained(FAILED, sentence, remedy, as_json=as_json)
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
