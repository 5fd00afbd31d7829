"""Writes every file that derives from code: schemas, OpenAPI, AsyncAPI, generated pages. With --check it only compares.

    python contracts/generate.py           # write
    python contracts/generate.py --check   # exit 1 and name each file that is not current

A released event schema never changes: one named in `contracts/schemas/events/SHA256SUMS` that would come out different is an error.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Union, get_type_hints

from contracts import answers, permissions, topics
from contracts.events import EVENTS
from contracts.exchange import ExchangeFile
from contracts.situation import SituationDraft

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = "contracts/schemas"


def _json(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def schemas() -> Iterator[tuple[str, str]]:
    """Yield the JSON schemas of events and files."""
    for name, event in EVENTS.items():
        yield f"{SCHEMAS}/events/{name}.json", _json(event.model_json_schema(mode="validation"))
    for name, answer in answers.schemas().items():
        yield f"{SCHEMAS}/tables/{name}.json", _json(answer)
    yield f"{SCHEMAS}/exchange.json", _json(ExchangeFile.model_json_schema(by_alias=True))
    yield f"{SCHEMAS}/situation.json", _json(SituationDraft.model_json_schema())


def openapi() -> Iterator[tuple[str, str]]:
    """Yield the OpenAPI document of every service, from its running code (built with throw-away keys, connected to nothing)."""
    from fastapi import FastAPI

    from chassis.http.openapi import describe
    from local_stack.keys import ensure_service_keys

    with tempfile.TemporaryDirectory() as folder:
        keys, trust = Path(folder, "keys"), Path(folder, "trust.json")
        ensure_service_keys(keys, trust)
        for service in topics.SERVICES:
            build = import_module(f"{service}.app").build
            kind = get_type_hints(build)["settings"]
            made = build(
                kind(
                    database_url="postgresql://nobody@/nowhere",
                    kafka_bootstrap="127.0.0.1:1",
                    kafka_username=service,
                    kafka_password="-",  # noqa: S106 - connects nowhere
                    keys_dir=keys / service,
                    trust_file=trust,
                    issuer="http://127.0.0.1:1",
                )
            )
            app = next(part for part in made if isinstance(part, FastAPI))
            yield f"contracts/openapi/{service}.json", _json(describe(app))


def asyncapi() -> Iterator[tuple[str, str]]:
    """Yield the AsyncAPI document: every topic registered on a broker, with its one writer and its readers."""
    from faststream import FastStream
    from faststream.kafka import KafkaBroker
    from faststream.specification import AsyncAPI

    broker = KafkaBroker()
    for topic in topics.TOPICS:
        protection = "signed only" if topic.signed_only else "sealed to its readers"
        readers = ", ".join(topic.readers) or "its recipient outside"
        broker.publisher(
            topic.name,
            title=topic.name,
            description=f"Written by {topic.writer}, read by {readers}. Envelopes (docs/envelope.md), {protection}; key: {topic.key}.",
            schema=Union[tuple(EVENTS[event] for event in topic.events)],  # noqa: UP007 - a union made of a list
        )
    specification = AsyncAPI(
        broker,
        title="MRM events",
        version="1",
        description="Payloads inside the envelopes of every topic.",
        schema_version="3.0.0",
    )
    FastStream(broker, specification=specification)
    yield "contracts/asyncapi/mrm.json", _json(specification.to_specification().to_jsonable())


def pages() -> Iterator[tuple[str, str]]:
    """Yield the generated pages of the documentation."""
    lines = ["# Who may do what", "", "Generated from `contracts/src/contracts/permissions.csv`. No row, no permission.", ""]
    for service in topics.SERVICES:
        lines += [f"## {service}", "", "| action | role | relation | state | why |", "|---|---|---|---|---|"]
        lines += [
            f"| `{row.action}` | {row.role} | {row.relation} | {row.state.replace('|', ', ')} | {row.why} |"
            for row in permissions.table()
            if row.service == service
        ]
        lines.append("")
    yield "docs/generated/permissions.md", "\n".join(lines)
    lines = ["# Topics", "", "Generated from `contracts.topics`. Kafka's topics and access rules are made from the same table.", ""]
    lines += ["| topic | events | writer | readers | sealed | kept |", "|---|---|---|---|---|---|"]
    for topic in topics.TOPICS:
        kept = (
            "newest per key"
            if topic.compacted
            else "for ever"
            if topic.retention_ms is None
            else f"{topic.retention_ms // topics.DAY_MS} days"
        )
        events = ", ".join(f"`{event}`" for event in topic.events)
        readers = ", ".join(topic.readers) or "outside"
        sealed = "signed only" if topic.signed_only else "sealed"
        lines.append(f"| `{topic.name}` | {events} | {topic.writer} | {readers} | {sealed} | {kept} |")
    yield "docs/generated/topics.md", "\n".join([*lines, ""])
    yield "docs/generated/settings.md", "\n".join([*settings_lines(), ""])


def settings_lines() -> Iterator[str]:
    """Yield the page of every service's settings: what all have in common, then what each has of its own."""
    from chassis.settings import MigrationSettings, ServiceSettings

    yield from ("# Settings", "")
    yield "Generated from the settings classes. A secret may be a file of its lower-case name in the folder `MRM_SECRETS_DIR`."
    common = set(ServiceSettings.model_fields)
    kinds = {"every service": ServiceSettings, "migrations (`python -m <service> migrate`)": MigrationSettings}
    kinds |= {service: get_type_hints(import_module(f"{service}.app").build)["settings"] for service in topics.SERVICES}
    for title, kind in kinds.items():
        own = {name: field for name, field in kind.model_fields.items() if title == "every service" or name not in common}
        if not own:
            continue
        yield from ("", f"## {title}", "", "| variable | secret | default |", "|---|---|---|")
        for name, field in own.items():
            default = "required" if field.is_required() else "none" if field.default is None else f"`{field.default}`"
            secret = "yes" if "Secret" in str(field.annotation) else ""
            yield f"| `MRM_{name.upper()}` | {secret} | {default} |"


def generated() -> dict[str, str]:
    """Return every generated file by its path from the root."""
    return {path: text for part in (schemas, openapi, asyncapi, pages) for path, text in part()}


def released() -> dict[str, str]:
    """Return the digests of released event schemas by file name; SHA256SUMS has the form that `sha256sum -c` reads."""
    sums = ROOT / SCHEMAS / "events" / "SHA256SUMS"
    lines = sums.read_text("utf-8").splitlines() if sums.exists() else []
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def sums_of(files: dict[str, str]) -> dict[str, str]:
    """Return the digests of the event schemas as they come out now."""
    folder = f"{SCHEMAS}/events/"
    return {path.removeprefix(folder): hashlib.sha256(text.encode()).hexdigest() for path, text in files.items() if path.startswith(folder)}


def main(arguments: list[str]) -> int:
    """Write or compare; returns the exit code."""
    files = generated()
    sums = sums_of(files)
    changed = [name for name, digest in released().items() if sums.get(name) != digest]
    files[f"{SCHEMAS}/events/SHA256SUMS"] = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    if changed:
        sys.stderr.write("Released event schemas never change; make a new version instead of changing: " + ", ".join(changed) + "\n")
        return 1
    stale = [path for path, text in files.items() if not (ROOT / path).exists() or (ROOT / path).read_text("utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            sys.stderr.write(f"not current: {path} (run `make generated`)\n")
        return 1 if stale else 0
    for path in stale:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(files[path], "utf-8")
        sys.stdout.write(f"wrote {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
