"""`mrm check`: prove an installation by exchange files with answers, each in a scratch situation of the running system."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

import typer
from rich.console import Group, RenderableType
from rich.progress import Progress
from rich.text import Text

from contracts.exchange import ExchangeFile, ExchangeQuery
from contracts.exchange_check import read_exchange
from contracts.situation import SituationPart
from mrm.client import RefusedError, gathered
from mrm.console import DEFAULT_DATA, FAILED, MISUSED, CommandError, DataOption, JsonOption, Output, run_until_stopped
from mrm.exchange_differences import as_text, differing_places, question_in_words
from mrm.exchange_journey import apply_steps, size_of
from mrm.exchange_plan import Plan
from mrm.installation import Installation, opened
from mrm.journey import Journey, Told
from mrm.scratch import ScratchMarks

FILES_AT_ONCE: Final = 4
QUERIES_AT_ONCE: Final = 8
_SCRATCH: Final = "check"
_SHOWN: Final = 20
_PLACES: Final = 5
"""Places shown of one answer that differs."""
_TERMINATED: Final = 128 + signal.SIGTERM
_ENDED: Final = ("Stopped before the end.", "What was sent has been removed again.")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A query whose answer is not the one expected."""

    file: str
    query: dict[str, Any]
    expected: Any
    answered: Any

    def document(self) -> dict[str, Any]:
        """Return the difference as `--json` prints it."""
        return {"file": self.file, "query": self.query, "expected": self.expected, "answered": self.answered}


def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Exchange files with queries and answers.", show_default=False)] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens",
            metavar="FILE",
            help="Away from the local stack: JSON with `tokens` by person, `services` by name, and the `scratch` code and `recipients`.",
        ),
    ] = None,
    tidy: Annotated[
        bool, typer.Option("--tidy", help="Only remove what killed checks have left; with --tokens the scratch situation that it names.")
    ] = False,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Put exchange files through the running system and compare every answer. Safe beside real data.

    Exit 0 only without differences, 2 when a file is not valid (the field is named and nothing is sent). On the local stack a check
    begins with removing what killed ones have left, never what belongs to one that is running.
    """
    output = Output(as_json=as_json)
    if tidy != (not files):
        raise CommandError("Name exchange files, or --tidy and none.", remedy="`mrm check --help` tells more.", code=MISUSED)
    if not files:
        removed = asyncio.run(_tidy_only(data=data, tokens=tokens))
        output.result({"removed": removed}, f"{len(removed)} scratch situation{'s' if len(removed) != 1 else ''} removed.")
        return
    documents = list(zip(files, read_files(files), strict=True))
    work = _until_terminated(_check_all(documents, data=data, tokens=tokens, output=output))
    differences = run_until_stopped(work, stopped=lambda: _ENDED)
    queries = sum(len(document.queries) for _, document in documents)
    told = {"files": len(documents), "queries": queries, "differences": [difference.document() for difference in differences]}
    output.result(told, _report(told, differences))
    if differences:
        raise typer.Exit(FAILED)


def read_file(path: Path) -> ExchangeFile:
    """Read an exchange file; raises CommandError naming the file and every refused field."""
    [document] = read_files([path])
    return document


def read_files(paths: Sequence[Path]) -> list[ExchangeFile]:
    """Read exchange files; raises CommandError naming every file that cannot be used, with every refused field."""
    documents: list[ExchangeFile] = []
    wrong: list[str] = []
    for path in paths:
        try:
            document, errors = read_exchange(path.read_bytes(), now=datetime.now(UTC))
        except OSError:
            wrong.append(f"{path} cannot be read.")
            continue
        if document is None:
            more = [f"  and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
            fields = [f"  {error.field}: {error.message}" for error in errors[:_SHOWN]]
            wrong.append("\n".join([f"{path} is not a valid exchange file:", *fields, *more]))
        else:
            documents.append(document)
    if wrong:
        raise CommandError("\n".join(wrong), remedy="Nothing was sent.", code=MISUSED)
    return documents


async def _until_terminated(work: Coroutine[Any, Any, T]) -> T:
    """Do the work; who ends the process politely meanwhile (SIGTERM, as Ctrl-C) has the scratch situations removed first."""
    task, terminated = asyncio.ensure_future(work), asyncio.Event()

    def stop() -> None:
        terminated.set()
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if not terminated.is_set():
            raise
        raise CommandError(_ENDED[0], remedy=_ENDED[1], code=_TERMINATED) from None


def today_in(situation: SituationPart) -> date:
    """Return the day it is in a situation."""
    return datetime.now(UTC).astimezone(ZoneInfo(situation.time_zone)).date()


def same_answer(table: str, expected: object, answered: object) -> bool:
    """Compare answers as JSON: objects without order, lists with order, `exceptions` as a set. A number is not a truth value."""
    if table == "exceptions" and isinstance(expected, list) and isinstance(answered, list):
        return sorted(map(as_text, expected)) == sorted(map(as_text, answered))
    return as_text(expected) == as_text(answered)


def in_words_of_the_file(table: str, answer: Any, plan: Plan) -> Any:  # noqa: ANN401 - JSON
    """Write an answer with the file's names where the service names violations."""
    if table != "exceptions" or not isinstance(answer, list):
        return answer
    return [{**entry, "violation": plan.file_reference(entry["violation"])} for entry in answer]


@dataclass(frozen=True, slots=True)
class _Scratch:
    """A file and the scratch situation that it is checked in."""

    path: Path
    document: ExchangeFile
    code: str


async def _tidy_only(*, data: Path, tokens: Path | None) -> list[str]:
    async with opened(data, tokens=tokens) as installation:
        if installation.access is None or installation.access.scratch is None:
            return await _tidy(installation)
        code = installation.access.scratch
        return [code] if await installation.remove_scratch(code) else []


async def _tidy(installation: Installation) -> list[str]:
    """Remove the scratch situations that no living check of this stack holds; return their codes."""
    if installation.stack is None:
        return []
    marks = ScratchMarks.of(installation.stack.folder)
    with marks.left() as codes:
        removed = [code for code in codes if await installation.remove_scratch(code)]
        for code in removed:
            marks.forget(code)
    return removed


async def _check_all(
    documents: Sequence[tuple[Path, ExchangeFile]], *, data: Path, tokens: Path | None, output: Output
) -> list[Difference]:
    async with opened(data, tokens=tokens) as installation:
        scratches = [_Scratch(path, document, _scratch_code(installation)) for path, document in documents]
        # Where we cannot give people their roles, they have them in one scratch situation, and the files take turns in it.
        groups = [[scratch] for scratch in scratches] if installation.stack is None else [scratches]
        left = await _tidy(installation)
        if left:
            output.note(f"Removed {len(left)} scratch situation{'s' if len(left) != 1 else ''} that a killed check had left.")
        total = sum(size_of(document) + len(document.queries) for _, document in documents)
        found: list[Difference] = []
        with Progress(console=output.progress) as progress:
            task = progress.add_task("Checking", total=total)
            for group in groups:
                found += await _check_group(installation, group, told=lambda more: progress.advance(task, more))
    return found


async def _check_group(installation: Installation, scratches: Sequence[_Scratch], *, told: Told) -> list[Difference]:
    """Register the scratch situations of some files, check the files side by side, and remove the situations whatever happened."""
    gate = asyncio.Semaphore(FILES_AT_ONCE)

    async def gated(work: Callable[[_Scratch], Coroutine[Any, Any, T]], scratch: _Scratch) -> T:
        async with gate:
            return await work(scratch)

    marks = ScratchMarks.of(installation.stack.folder) if installation.stack is not None else None
    foreign: set[str] = set()

    async def register(scratch: _Scratch) -> None:
        try:
            await _register(installation, scratch)
        except RefusedError as error:
            if error.problem_code == "version_conflict":
                foreign.add(scratch.code)
                raise CommandError(
                    f"The scratch situation {scratch.code} is there already.",
                    remedy="Another check is using it, or a killed one has left it: then `mrm check --tidy --tokens FILE` removes it.",
                ) from None
            raise

    async def remove(scratch: _Scratch) -> None:
        if scratch.code not in foreign and await installation.remove_scratch(scratch.code) and marks is not None:
            marks.forget(scratch.code)

    with contextlib.ExitStack() as held:
        if marks is not None:
            for scratch in scratches:
                held.enter_context(marks.held(scratch.code))
        try:
            await gathered(gated(register, one) for one in scratches)
            found = await gathered(gated(lambda scratch: _check_file(installation, scratch, told=told), one) for one in scratches)
        finally:
            await gathered(gated(remove, one) for one in scratches)
    return [difference for differences in found for difference in differences]


async def _register(installation: Installation, scratch: _Scratch) -> None:
    draft = scratch.document.situation.model_copy(update={"code": scratch.code}).model_dump(mode="json", exclude_none=True)
    if installation.access is not None and installation.access.recipients is not None:
        draft["recipients"] = installation.access.recipients
    await installation.register(draft, scratch=True)


async def _check_file(installation: Installation, scratch: _Scratch, *, told: Told) -> list[Difference]:
    journey = Journey(installation.api, scratch.code)
    plan = Plan(situation=scratch.code, today=today_in(scratch.document.situation), vetted=True)
    await journey.wait_until_known()
    positions = await apply_steps(journey, scratch.document, plan, told=told)
    return await _ask_all(journey, scratch, plan, positions, told=told)


def _scratch_code(installation: Installation) -> str:
    if installation.access is not None and installation.access.scratch is not None:
        return installation.access.scratch
    return f"{_SCRATCH}-{uuid4().hex[:12]}"


async def _ask_all(journey: Journey, scratch: _Scratch, plan: Plan, positions: Sequence[int], *, told: Told) -> list[Difference]:
    gate = asyncio.Semaphore(QUERIES_AT_ONCE)

    async def ask(number: int, query: ExchangeQuery) -> Difference | None:
        async with gate:
            answered = in_words_of_the_file(query.table, await _answer(journey, query, positions), plan)
        told(1)
        if same_answer(query.table, query.expected, answered):
            return None
        asked = query.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"expected", "note"})
        return Difference(file=str(scratch.path), query={"number": number, **asked}, expected=query.expected, answered=answered)

    found = await gathered(ask(number, query) for number, query in enumerate(scratch.document.queries, 1))
    return [difference for difference in found if difference is not None]


async def _answer(journey: Journey, query: ExchangeQuery, positions: Sequence[int]) -> Any:  # noqa: ANN401 - JSON
    params = {"from": query.from_.isoformat(), "to": query.to.isoformat(), **query.params}
    if query.after_step is not None:
        params["as_of"] = str(positions[query.after_step - 1])
    try:
        return await journey.table(query.table, params)
    except RefusedError as error:
        return {"refused": error.problem_code, "fields": [entry["field"] for entry in error.fields]}


def _report(told: dict[str, Any], differences: Sequence[Difference]) -> RenderableType:
    files, queries = (f"{told[name]} {name if told[name] != 1 else one}" for name, one in (("files", "file"), ("queries", "query")))
    if not told["queries"]:
        return f"{files} put through; no file asks anything, so nothing was compared."
    lines = [f"{files}, {queries}, {len(differences) or 'no'} difference{'s' if len(differences) != 1 else ''}."]
    for difference in differences[:_SHOWN]:
        lines += _difference_in_words(difference)
    if len(differences) > _SHOWN:
        lines.append(f"and {len(differences) - _SHOWN} more; --json prints them all.")
    return Group(*(Text(line) for line in lines))


def _difference_in_words(difference: Difference) -> Iterator[str]:
    """Yield a line for the question and one for every place that differs; entries of `exceptions` stand in no order."""
    yield f"{difference.file}, {question_in_words(difference.query)}"
    expected, answered = difference.expected, difference.answered
    if difference.query["table"] == "exceptions" and isinstance(expected, list) and isinstance(answered, list):
        expected, answered = sorted(expected, key=as_text), sorted(answered, key=as_text)
    places = list(differing_places(expected, answered))
    for path, one, other in places[:_PLACES]:
        yield f"  {path}: expected {as_text(one)}, answered {as_text(other)}"
    if len(places) > _PLACES:
        yield f"  and {len(places) - _PLACES} more"
