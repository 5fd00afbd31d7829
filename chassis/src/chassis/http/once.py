"""An act whose answer was lost is not done twice: the `Idempotency-Key` header (IETF draft httpapi-idempotency-key).

The answer is remembered in the act's own transaction: both are there or neither. Refusals change nothing and are not remembered.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel

from chassis import answered_store as store
from chassis.errors import Conflict, Invalid, Unavailable
from chassis.http.raw_bodies import body_of
from chassis.permissions import Caller
from chassis.storage import Database, Tx
from contracts.model import FieldError

HEADER: Final = "Idempotency-Key"
CREATED: Final = 201
_UUID: Final = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_PATTERN: Final = f'^(?:{_UUID}|"{_UUID}")$'
A = TypeVar("A", bound=BaseModel | Response)


class AnsweredBefore(Exception):  # noqa: N818 - not a failure: the act was done and this was its answer
    """The request was answered before; unless the route catches it, the same answer goes out again."""

    def __init__(self, status: int, answer: str) -> None:
        super().__init__()
        self.status = status
        self.answer = answer


class Once:
    """One request as far as its being repeated goes; without the header it is an act like any other."""

    def __init__(self, request: Request, key: UUID | None) -> None:
        self._request = request
        self._key = key
        self._kept: tuple[int, str] | None = None

    @asynccontextmanager
    async def transaction(self, database: Database, name: str, caller: Caller) -> AsyncIterator[Tx]:
        """Run the act's transaction, which must `answer` before its end.

        Raises AnsweredBefore if the caller's same request has been answered, after waiting for one that is under way, and
        Conflict if the key stands for something else. The route has asked the permission table before.
        """
        if self._key is None:
            async with database.transaction(name, by=caller) as tx:
                yield tx
            return
        request, digest = _mark(caller, self._key), await self._digest(self._key)
        async with database.transaction(name, by=caller) as tx:
            if not await store.claim(tx, request=request, digest=digest, situation=self._request.path_params.get("situation")):
                _answer_again(await store.find_answer(tx, request), digest)
            yield tx
            if self._kept is None:
                raise RuntimeError("an act that is done once keeps its answer")
            await store.save_answer(tx, request=request, status=self._kept[0], answer=self._kept[1])

    def answer(self, answer: A) -> A:
        """Remember what is answered, a model with 201. Ids and codes only: it is kept in the clear."""
        if isinstance(answer, Response):
            self._kept = answer.status_code, bytes(answer.body).decode()
        else:
            self._kept = CREATED, answer.model_dump_json(by_alias=True)
        return answer

    async def _digest(self, key: UUID) -> bytes:
        """Return the mark of what was sent. Its secret is the key, which is kept nowhere: nobody can try out what a body said."""
        scope = self._request.scope
        sent = hashlib.sha256(await body_of(self._request)).digest()
        parts = scope["method"].encode(), scope["path"].encode(), scope["query_string"], sent
        return hmac.digest(key.bytes, b"\0".join(parts), "sha256")


def _mark(caller: Caller, key: UUID) -> bytes:
    """Return the mark of a caller's key."""
    return hashlib.sha256(key.bytes + caller.subject.encode()).digest()


def _answer_again(known: store.AnsweredRequest | None, digest: bytes) -> None:
    if known is None:
        raise Unavailable  # forgotten between two statements
    if not hmac.compare_digest(known.digest, digest):
        raise Conflict("idempotency.other_content", f"This {HEADER} stands for another request of yours; take a new one.")
    raise AnsweredBefore(known.status, known.answer)


async def answer_again(_: Request, error: Exception) -> Response:
    """Send a remembered answer as it went out the first time."""
    if not isinstance(error, AnsweredBefore):
        raise error
    return Response(error.answer, status_code=error.status, media_type="application/json")


async def _once(
    request: Request,
    key: Annotated[
        str | None,
        Header(
            alias=HEADER,
            pattern=_PATTERN,
            description="A UUID of your own for this act. Whoever lost the answer sends the same again, byte for byte and with the same "
            "key, within 14 days: nothing is done twice and the answer is the same. A refused request leaves its key free.",
        ),
    ] = None,
) -> Once:
    if len(request.headers.getlist(HEADER)) > 1:
        raise Invalid([FieldError(HEADER, "twice", "Send this header once.")])
    return Once(request, None if key is None else UUID(key.strip('"')))


OncePart = Annotated[Once, Depends(_once)]
"""The parameter of a route whose act must not be doubled: `once: OncePart`, after the caller."""
