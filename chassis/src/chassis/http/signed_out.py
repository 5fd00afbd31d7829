"""The issuer ends somebody's sessions here, without their browser (OpenID Connect Back-Channel Logout 1.0).

No cookie and no origin counts at this route: the signed token in the body is all that speaks, and only the issuer can sign one.
"""

from typing import Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import Response

from chassis.errors import BadRequest
from chassis.http.access import open_to_all
from chassis.http.rates import Rates
from chassis.http.raw_bodies import body_of
from chassis.http.sessions import FORM
from chassis.relying_party import LogoutRefusedError
from chassis.sessions import Sessions
from chassis.telemetry import get_logger

BY_ISSUER: Final = "/sign-out/by-issuer"
TOKEN_FIELD: Final = "logout_token"  # noqa: S105 - the name of a form field
_MAX_FIELDS: Final = 20
router = APIRouter(dependencies=[open_to_all()], include_in_schema=False)
log = get_logger()


@router.post(BY_ISSUER)
async def sign_out_by_issuer(request: Request) -> Response:
    """End what a logout token names; 200 also if nothing of it was left, 400 for a token that does not hold, whatever is wrong with it."""
    sessions: Sessions = request.app.state.sessions
    try:
        ended = await sessions.relying_party.signed_out(await _token_of(request))
    except LogoutRefusedError as refusal:
        rates: Rates = request.app.state.rates
        rates.failed(request.scope)
        log.warning("logout_token_refused", code=refusal.code)
        raise BadRequest("logout_token", "Send one form field `logout_token`, signed by the issuer for this service's client.") from None
    await sessions.end_by_issuer(ended)
    return Response(headers={"Cache-Control": "no-store"})


async def _token_of(request: Request) -> str:
    """Return the one logout token of a form; other fields may be there and mean nothing."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise LogoutRefusedError("form")
    try:
        fields = parse_qsl((await body_of(request)).decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise LogoutRefusedError("form") from None
    tokens = [value for name, value in fields if name == TOKEN_FIELD]
    if len(tokens) != 1:
        raise LogoutRefusedError("form")
    return tokens[0]
