"""The one error family of the edge: stable codes, fixed sentences, values only as ids; mapped once to problem+json (RFC 9457)."""

from collections.abc import Sequence

from contracts.model import FieldError


class Problem(Exception):  # noqa: N818 - named after the document it becomes
    """A refusal that the caller can understand. `code` is stable; `remedy` is a fixed sentence without any submitted value."""

    def __init__(
        self,
        code: str,
        *,
        status: int,
        title: str,
        remedy: str,
        errors: Sequence[FieldError] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.title = title
        self.remedy = remedy
        self.errors = tuple(errors)
        self.headers = headers or {}


class NotFound(Problem):
    """The object does not exist or is not the caller's: one answer for both (404)."""

    def __init__(self) -> None:
        super().__init__("not_found", status=404, title="Not found", remedy="Check the address; what is not yours is not shown.")


class Forbidden(Problem):
    """The caller belongs to the situation, but none of their roles may do this here (403)."""

    def __init__(self, code: str = "forbidden", remedy: str = "Your role may not do this; ask somebody whose role may.") -> None:
        super().__init__(code, status=403, title="Not allowed", remedy=remedy)


class Conflict(Problem):
    """The object's state does not allow this (409)."""

    def __init__(self, code: str, remedy: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(code, status=409, title="Conflict", remedy=remedy, errors=errors)


class Invalid(Problem):
    """The request's content is refused; every entry of `errors` names a field and how to mend it (422)."""

    def __init__(self, errors: Sequence[FieldError], code: str = "invalid") -> None:
        remedy = "Mend the fields named in `errors` and send again."
        super().__init__(code, status=422, title="Invalid content", remedy=remedy, errors=errors)


class BadRequest(Problem):
    """The request cannot be read at all (400)."""

    def __init__(self, code: str, remedy: str) -> None:
        super().__init__(code, status=400, title="Bad request", remedy=remedy)


class Unavailable(Problem):
    """A part this needs is down; nothing was stored (503 with Retry-After, in seconds)."""

    def __init__(self, retry_after: int = 5) -> None:
        super().__init__(
            "unavailable",
            status=503,
            title="Temporarily unavailable",
            remedy="Nothing was stored; send the same again after the time given in Retry-After.",
            headers={"Retry-After": str(retry_after)},
        )


class Rejected(Exception):  # noqa: N818 - a handler rejects an event
    """Raised by a handler when a rule rejects an authentic event: it is parked with reason `rejected:<code>`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
