"""Reading a JSON body: once, as raw bytes, within limits, straight into a model."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from chassis.errors import BadRequest, Invalid
from chassis.http.access import CALLER_KEY, SITUATION, may_be_code
from chassis.http.problems import TooLarge, UnsupportedMediaType
from chassis.http.raw_bodies import BODY_KEY
from chassis.permissions import Caller
from contracts.model import FieldError, field_errors

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 32
_TEXTS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
BODY_MODEL: Final = "x-mrm-model"
"""Stands, with a name of `BODY_MODELS`, for a model's schema until the OpenAPI document is made."""
BODY_MODELS: Final[dict[str, type[BaseModel]]] = {}
M = TypeVar("M", bound=BaseModel)


async def read_json(request: Request, model: type[M], *, limit: int = MAX_BODY_BYTES) -> M:
    """Return the body as a model; raises the problems 400, 413, 415 and 422, none of which repeats what was sent.

    Where the body names the situation, whoever may do nothing there is told so, as `Caller.admit` does, and not what is wrong with it.
    """
    raw = await read_body(request, limit=limit)
    try:
        return parse_json(raw, model)
    except (BadRequest, Invalid):
        _admit(request, raw)
        raise


def _admit(request: Request, raw: bytes) -> None:
    """Ask the permission table, if the route has not done so yet, about the situation that a refused body names."""
    caller = request.scope["state"].get(CALLER_KEY)
    if not isinstance(caller, Caller) or caller.checked or SITUATION in request.path_params:
        return
    caller.admit_somewhere()
    try:
        document = None if too_deep(raw) else json.loads(raw, object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError, _DoubleNameError):
        return  # it names none, or two readers could take it for two
    situation = document.get(SITUATION) if isinstance(document, dict) else None
    if isinstance(situation, str) and may_be_code(situation):
        caller.admit(situation)


async def read_body(request: Request, *, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the raw JSON body; raises TooLarge and UnsupportedMediaType."""
    check_media_type(request)
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge
        parts.append(chunk)
    raw: bytes = request.scope["state"].setdefault(BODY_KEY, b"".join(parts))
    return raw


def check_media_type(request: Request) -> None:
    """Raise UnsupportedMediaType unless the body is said to be JSON in UTF-8, not compressed."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if kind.strip().lower() != "application/json" or charset not in ("", "utf-8", "utf8") or encoding != "identity":
        raise UnsupportedMediaType


def parse_json(raw: bytes, model: type[M]) -> M:
    """Validate raw JSON; raises BadRequest if it cannot be read and Invalid if its content is refused.

    A name that stands twice in one object is refused: two readers could take two different values for it.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise BadRequest("not_utf8", "Send the text in UTF-8.") from None
    if too_deep(raw):
        raise BadRequest("too_deep", "Send a document that is nested less deeply.")
    _refuse_doubles(text)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise Invalid(field_errors(error)) from None


def too_deep(raw: bytes, *, limit: int = MAX_DEPTH) -> bool:
    """Tell whether arrays and objects are nested deeper than `limit`; brackets inside texts do not count."""
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return False
    depth = 0
    for bracket in _TEXTS.sub(b"", raw).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > limit:
            return True
    return False


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that reads its own body with `read_json`."""
    known = BODY_MODELS.setdefault(model.__name__, model)
    if known is not model:
        raise ValueError(f"two body models are called {model.__name__}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": {BODY_MODEL: model.__name__}}}}}


def _refuse_doubles(text: str) -> None:
    try:
        json.loads(text, object_pairs_hook=_no_doubles, parse_constant=_no_constant)
    except _DoubleNameError:
        double = FieldError("(document)", "twice", "A name stands twice in one object; keep one of them.")
        raise Invalid([double]) from None
    except (ValueError, RecursionError):
        raise BadRequest("not_json", "Send one valid JSON document.") from None


class _DoubleNameError(Exception):
    pass


def _no_doubles(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DoubleNameError
    return found


def _no_constant(_: str) -> NoReturn:
    raise ValueError("not a number of JSON")
