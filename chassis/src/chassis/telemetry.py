"""What leaves a process for its operators: one line of JSON per event on standard error, spans and metrics, all by allow-list.

Nothing else gets out: no message of another library, no exception text, no local variable. See `chassis.tracing` for spans and metrics.
"""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import PurePath
from types import TracebackType
from typing import Any, Final, TextIO
from uuid import UUID

import structlog

ALLOWED_KEYS: Final = frozenset(
    {
        "action",
        "attempt",
        "check",
        "code",
        "count",
        "error",
        "event_id",
        "event_type",
        "frames",
        "host",
        "key_id",
        "kind",
        "logger",
        "method",
        "name",
        "partition",
        "port",
        "reader",
        "reason",
        "route",
        "seconds",
        "service",
        "situation",
        "status",
        "topic",
        "version",
        "where",
        "writer",
    }
)
"""The only keys that a log line, span or metric may carry."""
CLOSED_KEYS: Final = frozenset({"name", "reason", "situation", "where"})
"""Keys that ask for somebody's word, such as a name: of a text only what is known beforehand passes, and metrics do not have them."""
MAX_FRAMES: Final = 20
_EVENT: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_WORD: Final = re.compile(r"[\w.:/@+<>{}()-]{1,160}")
_KNOWN_WORDS: Final[dict[str, set[str]]] = {
    "name": {"http", "database", "cluster", "relay", "consumer"},
    "reason": {
        "cannot_open",
        "forged",
        "handler_failed",
        "invalid_content",
        "malformed",
        "rejected",
        "too_many_parked",
        "unknown_version",
        "wrong_recipient",
        "wrong_topic",
    },
    "where": {"discovery", "tokens", "userinfo"},
}
_KNOWN_FORMS: Final = {
    "situation": re.compile(r"(?=[A-Z0-9._-]*[0-9])[A-Z][A-Z0-9._-]{1,63}"),  # as AFG-2024; a code without a digit could be a name
    "where": re.compile(r"[\w.+-]{1,80}(/[\w.+-]{1,80})?\.pyx?:[0-9]{1,6}"),  # file and line
}
_LIBRARY_EVENTS: Final[dict[tuple[str, str], str]] = {
    ("uvicorn.error", "Started server process [%d]"): "server_started",
    ("uvicorn.error", "Waiting for application startup."): "server_starting",
    ("uvicorn.error", "Application startup complete."): "server_ready",
    ("uvicorn.error", "Uvicorn running on %s://%s:%d (Press CTRL+C to quit)"): "server_listening",
    ("uvicorn.error", "Shutting down"): "server_stopping",
    ("uvicorn.error", "Waiting for connections to close. (CTRL+C to force quit)"): "server_draining",
    ("uvicorn.error", "Waiting for background tasks to complete. (CTRL+C to force quit)"): "server_draining",
    ("uvicorn.error", "Finished server process [%d]"): "server_stopped",
    ("uvicorn.error", "Exception in ASGI application\n"): "server_exception",
    ("uvicorn.error", "Invalid HTTP request received."): "server_bad_request",
    ("asyncio", "Task exception was never retrieved"): "task_failed",
}
"""Messages of libraries, by logger and template, that are named; every other is `library_message` with its place in the code."""


class Log:
    """Writes events: a fixed name and allow-listed keys; every other key is dropped."""

    def debug(self, event: str, /, **fields: object) -> None:
        """Write an event that only a developer wants."""
        _write("debug", event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Write an event of normal operation."""
        _write("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Write an event that an operator should look at."""
        _write("warning", event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Write an event that an operator must look at."""
        _write("error", event, fields)

    def failure(self, event: str, error: BaseException, /, **fields: object) -> None:
        """Write an error by its type and the places it passed, never its text."""
        _write("error", event, {**fields, **describe(error)})


def add_name(name: str) -> None:
    """Let a name of our own, such as a job's, be written under `name`; raises ValueError for what is no lower-case word."""
    if _EVENT.fullmatch(name) is None:
        raise ValueError("a name is one lower-case word")
    _KNOWN_WORDS["name"].add(name)


def get_logger() -> Log:
    """Return the log of this process."""
    return _LOG


def configure(service: str, *, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send this process's log and that of every library through the allow-list; call once at start-up."""
    target = stream or sys.stderr
    structlog.configure(
        processors=[
            _stamp,
            structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_level_number(level)),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    _SERVICE[:] = [service]
    root = logging.getLogger()
    root.handlers[:] = [_LibraryHandler()]
    root.setLevel(max(_level_number(level), logging.INFO))
    for name in list(logging.Logger.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        if name.startswith(("uvicorn.access", "httpx", "httpcore")):
            logger.setLevel(logging.WARNING)
    logging.setLogRecordFactory(_sanitized)
    logging.raiseExceptions = False
    logging.captureWarnings(capture=True)
    sys.excepthook = _last_words
    threading.excepthook = lambda args: _LOG.failure("thread_failed", args.exc_value or args.exc_type())
    sys.unraisablehook = lambda args: _LOG.failure("unraisable", args.exc_value or RuntimeError())


def configure_nothing() -> None:
    """Undo `configure` for this log: events go where structlog sends them by default."""
    structlog.reset_defaults()


def describe(error: BaseException) -> dict[str, object]:
    """Return the type of an error and of those behind it, and the places it passed: file, line and function only."""
    kinds: list[str] = []
    frames: list[str] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen and len(kinds) < MAX_FRAMES:
        seen.add(id(link))
        kinds.append(_kind_of(link))
        frames += _frames(link.__traceback__)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return {"error": "<".join(kinds)[:160], "frames": frames[-MAX_FRAMES:]}


def allowed(fields: Mapping[str, object]) -> dict[str, Any]:
    """Keep what the allow-list knows, in a form that cannot hold a sentence; of closed keys only what was known beforehand."""
    return {key: kept for key, value in fields.items() if key in ALLOWED_KEYS and (kept := _kept(key, value)) is not None}


def _kept(key: str, value: object) -> object:
    if key not in CLOSED_KEYS:
        return _plain(value)
    if not isinstance(value, str):
        return None
    known = value in _KNOWN_WORDS.get(key, ()) or (key in _KNOWN_FORMS and _KNOWN_FORMS[key].fullmatch(value) is not None)
    return str(value) if known else None


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) else None
    if isinstance(value, list | tuple):
        return [kept for item in value if (kept := _plain(item)) is not None]
    return None


def _write(level: str, event: str, fields: Mapping[str, object]) -> None:
    name = event if _EVENT.fullmatch(event) else "unnamed_event"
    kept = allowed(fields)
    unknown = sum(key in CLOSED_KEYS and key not in kept for key in fields)
    getattr(structlog.get_logger(), level)(name, **kept, **({"dropped": unknown} if unknown else {}))


def _stamp(_: object, level: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    line["at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    line["level"] = level
    line["service"] = _SERVICE[0]
    return line


def _level_number(level: str) -> int:
    return logging.getLevelNamesMapping().get(level.upper(), logging.INFO)


def _kind_of(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _frames(trace: TracebackType | None) -> list[str]:
    return [
        f"{'/'.join(PurePath(frame.f_code.co_filename).parts[-2:])}:{line}:{frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(trace)
    ]


def _sanitized(*args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: ANN401 - what logging passes
    """Make a library's log record without its words, arguments and error: whatever handler it meets has nothing else to print."""
    record = _RECORD(*args, **kwargs)
    template = record.msg if isinstance(record.msg, str) else ""
    if record.name == "asyncio":
        template = template.partition("\n")[0]
    fields: dict[str, object] = {
        "logger": record.name,
        "where": f"{'/'.join(PurePath(record.pathname).parts[-2:])}:{record.lineno}",
    }
    if record.exc_info and record.exc_info[1] is not None:
        fields |= describe(record.exc_info[1])
    record.mrm_fields = fields
    record.msg = _LIBRARY_EVENTS.get((record.name, template), "library_message")
    record.args, record.exc_info, record.exc_text, record.stack_info = (), None, None, None
    return record


class _LibraryHandler(logging.Handler):
    """Writes what is left of a library's log record."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning" if record.levelno >= logging.WARNING else "info"
        _write(level, str(record.msg), getattr(record, "mrm_fields", {}))


_RECORD: Final = logging.LogRecord


def _last_words(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _LOG.failure("process_failed", error)


_SERVICE: Final[list[str]] = ["unconfigured"]
_LOG: Final = Log()
