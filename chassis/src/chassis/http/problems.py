"""Refusals as problem+json (RFC 9457): stable codes, fixed sentences, never a submitted value, never a trace."""

import json
from collections.abc import Mapping
from typing import Any, Final

import asyncpg
from aiokafka.errors import KafkaError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from chassis.errors import BadRequest, Invalid, NotFound, Problem, Unavailable
from chassis.http.denials import record_denial
from chassis.telemetry import get_logger
from contracts.model import FieldError

MEDIA_TYPE: Final = "application/problem+json"
MAX_ERRORS: Final = 100
"""More entries than this help nobody; the rest shows once these are mended."""
COME_BACK: Final = frozenset({429, 503})
"""Answers that say when to come back."""
RETRY_AFTER: Final = "5"
log = get_logger()


class FieldProblem(BaseModel):
    """One refused field and how to mend it."""

    field: str
    code: str
    message: str


class ProblemDocument(BaseModel):
    """A refusal (RFC 9457). `code` is stable; `detail` says what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldProblem] | None = None


class TooLarge(Problem):
    """The body is longer than this service takes (413)."""

    def __init__(self) -> None:
        super().__init__(
            "too_large",
            status=413,
            title="Too large",
            remedy="Shorten the document or split it; the limit is in the documentation of the service.",
            headers={"Connection": "close"},
        )


class UnsupportedMediaType(Problem):
    """The body is not plain JSON (415)."""

    def __init__(self) -> None:
        super().__init__(
            "unsupported_media_type",
            status=415,
            title="Unsupported media type",
            remedy="Send `Content-Type: application/json`, in UTF-8 and without Content-Encoding.",
        )


class TooSlow(Problem):
    """The body did not arrive in time (408)."""

    def __init__(self) -> None:
        super().__init__(
            "too_slow",
            status=408,
            title="Too slow",
            remedy="Nothing was stored; send the same again over a better connection.",
            headers={"Connection": "close"},
        )


class TooMany(Problem):
    """More requests are under way than this service takes (429 with Retry-After, in seconds)."""

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__(
            "too_many",
            status=429,
            title="Too many requests",
            remedy="Nothing was stored; send the same again after the time given in Retry-After.",
            headers={"Retry-After": str(retry_after)},
        )


class HeadersTooLarge(Problem):
    """The request's header fields are too many or too long (431)."""

    def __init__(self) -> None:
        super().__init__(
            "headers_too_large",
            status=431,
            title="Header fields too large",
            remedy="Send fewer and shorter header fields.",
            headers={"Connection": "close"},
        )


class Failure(Problem):
    """A fault of ours (500)."""

    def __init__(self) -> None:
        super().__init__(
            "internal",
            status=500,
            title="Internal error",
            remedy="The fault is ours and has been recorded; nothing was stored. Try again, then tell the operator.",
        )


def document_of(problem: Problem) -> dict[str, Any]:
    """Return the problem as the document it becomes."""
    document: dict[str, Any] = {
        "type": f"urn:mrm:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.remedy,
    }
    if problem.errors:
        document["errors"] = [{"field": error.field, "code": error.code, "message": error.message} for error in problem.errors[:MAX_ERRORS]]
    return document


def response_of(problem: Problem) -> Response:
    """Return the problem as a response."""
    content = json.dumps(document_of(problem), ensure_ascii=False).encode()
    later = {"Retry-After": RETRY_AFTER} if problem.status in COME_BACK else {}
    return Response(content, status_code=problem.status, headers={**later, **problem.headers}, media_type=MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """Return what the caller may know of any error; what is not expected is logged by its type and places."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _parameter_problem(error)
    if isinstance(error, ClientDisconnect):
        return TooSlow()
    if isinstance(error, HTTPException):
        return _framework_problem(error)
    if is_outage(error):
        log.failure("dependency_unavailable", error)
        return Unavailable()
    log.failure("request_failed", error)
    return Failure()


def is_outage(error: BaseException) -> bool:
    """Tell whether the database, the broker or the network failed us, as opposed to our own code."""
    if isinstance(error, ValueError):
        return False  # asyncpg's complaint about an argument of ours is an InterfaceError too
    return isinstance(
        error,
        asyncpg.PostgresConnectionError
        | asyncpg.InterfaceError
        | asyncpg.OperatorInterventionError
        | asyncpg.InsufficientResourcesError
        | asyncpg.TransactionRollbackError
        | asyncpg.LockNotAvailableError
        | KafkaError
        | TimeoutError
        | OSError,
    )


def install(app: FastAPI) -> None:
    """Make every refusal of the app a problem document, and record those that the permission table made."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        await record_denial(request, problem)
        return response_of(problem)

    for kind in (Problem, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of problem answers, for a route's `responses`."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    wait = {"Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 0}}}
    return {
        status: {"description": _DESCRIPTIONS[status], "content": content, **({"headers": wait} if status in COME_BACK else {})}
        for status in statuses
    }


_DESCRIPTIONS: Final[Mapping[int, str]] = {
    400: "The request cannot be read.",
    401: "No valid access token.",
    403: "The caller's role may not do this.",
    404: "It does not exist, or is not the caller's.",
    408: "The body did not arrive in time.",
    409: "The state of the object does not allow this.",
    413: "The body is too long.",
    415: "The body is not JSON.",
    422: "The content is refused; `errors` names the fields.",
    429: "Too many requests are under way, or this caller asks too fast.",
    431: "The header fields are too many or too long.",
    500: "A fault of the service.",
    503: "A part the service needs is down; nothing was stored.",
}


def _parameter_problem(error: RequestValidationError) -> Problem:
    """Name the parameters that do not fit; an address that cannot be anything's is one that nothing has."""
    found: list[FieldError] = []
    for item in error.errors():
        where, *location = item["loc"]
        if where == "path":
            return NotFound()
        kind = "missing" if item["type"] == "missing" else "wrong_form"
        message = "This parameter is required; add it." if kind == "missing" else "This parameter does not have the form it needs."
        found.append(FieldError(".".join(str(part) for part in location) or "(document)", kind, message))
    return Invalid(found)


def _framework_problem(error: HTTPException) -> Problem:
    match error.status_code:
        case 404:
            return NotFound()
        case 405:
            allow = {"Allow": (error.headers or {}).get("Allow", "")}
            return Problem(
                "method_not_allowed", status=405, title="Method not allowed", remedy="Use a method that `Allow` names.", headers=allow
            )
        case 413:
            return TooLarge()
        case _:
            return BadRequest("bad_request", "The request cannot be read; check it against the service's description.")
