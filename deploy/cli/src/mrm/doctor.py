"""`mrm doctor`: what this machine lacks for a local stack, and how to mend it, before anything is started."""

from rich.table import Table

from local_stack.layout import StackFolder
from mrm.console import DEFAULT_DATA, FAILED, DataOption, JsonOption, Output
from mrm.machine import CHECKS, Finding, State


def doctor(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """Say what this machine lacks and how to mend it. Exit 0 when a stack can run here."""
    import typer

    output = Output(as_json=as_json)
    folder = StackFolder.at(data)
    findings = [check(folder) for check in CHECKS]
    well = all(finding.state is not State.LACKING for finding in findings)
    document = {"ok": well, "data": str(folder.data), "checks": [finding.document() for finding in findings]}
    output.result(document, _table(findings, well=well))
    if not well:
        raise typer.Exit(FAILED)


def _table(findings: list[Finding], *, well: bool) -> Table:
    table = Table(title="A local stack can run here." if well else "A local stack cannot run here yet.", title_justify="left")
    for heading in ("", "what", "found", "how to mend it"):
        table.add_column(heading)
    colours = {State.FINE: "green", State.NOTE: "yellow", State.LACKING: "bold red"}
    for finding in findings:
        colour = colours[finding.state]
        table.add_row(f"[{colour}]{finding.state.value}[/{colour}]", finding.what, finding.found, finding.remedy)
    return table
