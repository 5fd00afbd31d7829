"""`mrm status`: is every part ready, what does it take, and does the conservation account balance."""

import contextlib
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import typer
from rich.console import Group
from rich.table import Table

from contracts.topics import SERVICES
from local_stack.children import ProcessMark
from local_stack.errors import StackError
from local_stack.layout import PARTS, StackFolder
from local_stack.loopback import no_authorities
from local_stack.people import access_token
from local_stack.running import RunningStack, find_running, is_held
from mrm.account import Balance, ServiceAccount, balance
from mrm.console import DEFAULT_DATA, FAILED, DataOption, JsonOption, Output

ANSWER_SECONDS = 5.0
READINGS = 8
PAUSE = 0.3
MEGABYTE = 1_000_000


def status(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """Show every part (ready, or why not), its memory, and the account of all events. Exit 0 only when all is well."""
    output = Output(as_json=as_json)
    folder = StackFolder.at(data)
    stack = find_running(folder)
    if stack is None:
        starting = is_held(folder)
        text = "The stack is starting." if starting else f"No stack is running in {folder.data}. `mrm up` starts one."
        output.result({"data": str(folder.data), "running": False, "starting": starting, "ready": False}, text)
        raise typer.Exit(FAILED)
    parts = describe_parts(stack)
    account = read_account(stack)
    ready = all(part["ready"] for part in parts.values())
    memory = sum(part["memory_bytes"] for part in parts.values())
    document = {
        "data": str(folder.data),
        "running": True,
        "ready": ready,
        "memory_bytes": memory,
        "services": {name: part for name, part in parts.items() if name in SERVICES},
        "servers": {name: part for name, part in parts.items() if name not in SERVICES},
        "account": account.document(),
    }
    output.result(document, Group(_parts_table(parts, memory), _account_table(account)))
    if not ready or not account.balanced:
        raise typer.Exit(FAILED)


def describe_parts(stack: RunningStack) -> dict[str, dict[str, Any]]:
    """Return each part's readiness, process id and memory."""
    marks = stack.folder.read_marks()
    with ThreadPoolExecutor(len(PARTS)) as pool:
        states = dict(zip(PARTS, pool.map(lambda name: _readiness(stack, name, marks.get(name)), PARTS), strict=True))
    supervisor = marks.get("supervisor")
    described: dict[str, dict[str, Any]] = {"supervisor": {"ready": True, "why": "", "url": ""}, **states}
    for name, part in described.items():
        mark = supervisor if name == "supervisor" else marks.get(name)
        process = mark.process() if mark else None
        part["pid"] = process.pid if process else None
        # the supervisor's children are the other parts
        part["memory_bytes"] = _memory(process, alone=name == "supervisor") if process else 0
    return described


def read_account(stack: RunningStack) -> Balance:
    """Return the conservation account; while events move it is read again, a few times, until it balances."""
    result = balance(_read_accounts(stack))
    for _ in range(READINGS):
        if result.balanced or result.missing:
            break
        time.sleep(PAUSE)
        result = balance(_read_accounts(stack))
    return result


def _read_accounts(stack: RunningStack) -> dict[str, ServiceAccount | None]:
    accounts: dict[str, ServiceAccount | None] = dict.fromkeys(SERVICES)
    try:
        headers = {"Authorization": f"Bearer {access_token(stack.issuer, stack.folder.secrets, 'operator')}"}
    except StackError:
        return accounts
    for name in reversed(SERVICES):  # readers before their writers
        with contextlib.suppress(httpx.HTTPError, ValueError):
            answer = httpx.get(f"{stack.url(name)}/v1/account", headers=headers, timeout=ANSWER_SECONDS, verify=no_authorities())
            document = answer.json()
            accounts[name] = document if answer.is_success and isinstance(document, Mapping) else None
    return accounts


def _readiness(stack: RunningStack, name: str, mark: ProcessMark | None) -> dict[str, Any]:
    if mark is None or mark.process() is None:
        return {"ready": False, "why": "its process is not running; it is being started again", "url": _address(stack, name)}
    if name not in SERVICES:
        why = "" if mark.ready else "it is starting"
        return {"ready": mark.ready, "why": why, "url": _address(stack, name)}
    url = stack.url(name)
    try:
        answer = httpx.get(f"{url}/readyz", timeout=ANSWER_SECONDS, verify=no_authorities())
        checks = answer.json().get("checks", {})
    except (httpx.HTTPError, ValueError, AttributeError):
        return {"ready": False, "why": "it does not answer", "url": url}
    why = "; ".join(f"{check}: {state}" for check, state in checks.items() if state != "ok")
    well = answer.is_success and not why  # a service may be ready and say all the same what is wrong: its record of acts
    return {"ready": well, "why": "" if well else why or "not ready", "url": url, "checks": checks}


def _address(stack: RunningStack, name: str) -> str:
    return {"kafka": stack.kafka, "identity": stack.identity}.get(name, "")


def _memory(process: psutil.Process, *, alone: bool) -> int:
    """Return the memory of a process and what it started, shared pages counted once where the system tells."""
    total = 0
    with contextlib.suppress(psutil.Error):
        for member in [process, *([] if alone else process.children(recursive=True))]:
            with contextlib.suppress(psutil.Error):
                total += _own_memory(member)
    return total


def _own_memory(process: psutil.Process) -> int:
    try:
        info = process.memory_full_info()
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    return int(getattr(info, "pss", info.rss))


def _parts_table(parts: Mapping[str, Mapping[str, Any]], memory: int) -> Table:
    table = Table(title="Parts", title_justify="left", caption=f"{memory // MEGABYTE} MB in all", caption_justify="right")
    for heading in ("part", "state", "MB", "process", "address"):
        table.add_column(heading, justify="right" if heading in {"MB", "process"} else "left")
    for name, part in parts.items():
        state = "[green]ready[/green]" if part["ready"] else f"[red]{part['why']}[/red]"
        table.add_row(name, state, str(part["memory_bytes"] // MEGABYTE), str(part["pid"] or "-"), str(part["url"]))
    return table


def _account_table(account: Balance) -> Table:
    verdict = "balanced" if account.balanced else "NOT balanced"
    if account.missing:
        verdict = f"incomplete: no answer from {', '.join(account.missing)}"
    table = Table(title=f"Events: {verdict}", title_justify="left")
    for heading in ("topic", "reader", "accepted", "applied", "parked", "in flight", ""):
        table.add_column(heading, justify="right" if heading in {"accepted", "applied", "parked", "in flight"} else "left")
    for line in account.lines:
        mark = "" if line.balanced else "[red]does not balance[/red]"
        table.add_row(line.topic, line.reader, str(line.accepted), str(line.applied), str(line.parked), str(line.in_flight), mark)
    return table
