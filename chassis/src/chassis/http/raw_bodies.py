"""The raw body of a request, read once and kept for everyone who looks at it."""

from typing import Final

from fastapi import Request

BODY_KEY: Final = "mrm_body"
"""Where a body that has been read lies in its request's ASGI scope's state."""


async def body_of(request: Request) -> bytes:
    """Return the raw body of a request, whether a route has read it or does not need it."""
    state = request.scope["state"]
    if BODY_KEY not in state:
        state[BODY_KEY] = b"".join([chunk async for chunk in request.stream()])
    raw: bytes = state[BODY_KEY]
    return raw
