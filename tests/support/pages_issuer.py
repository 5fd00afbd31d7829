"""A small real OpenID Connect issuer for pages, unlike Keycloak in everything that may differ: paths, RS256, claim names, opaque tokens.

It signs in whoever `person` names without asking. What it answers can be bent, to show what is refused.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.errors import SecurityWarning

from support.issuer import SIGNERS, new_key

GRANTS_CLAIM = "https://people.example/teams"
CLIENT = "pages of intake"
SIGNED_OUT = "http://schemas.openid.net/event/backchannel-logout"
SECRET = "p&ss w=rd+%"
PATHS = {
    "authorization_endpoint": "/o/start?tenant=7",
    "token_endpoint": "/o/exchange",
    "userinfo_endpoint": "/o/me",
    "revocation_endpoint": "/o/forget",
    "end_session_endpoint": "/o/leave?tenant=7",
    "jwks_uri": "/o/keys.json",
}


class PagesIssuer:
    """Discovery, code flow with PKCE, rotated opaque refresh tokens, userinfo, revocation, logout; served on loopback by a thread."""

    def __init__(self) -> None:
        self.key = new_key("RSA")
        self.keys = [self.key]
        self.person = "amina"
        self.name = "Amina \u202e<b>&amp; آمنة"
        self.groups = ["/XAA/monitor"]
        self.secret: str | None = SECRET
        self.claims_in = {"id_token", "userinfo"}
        """Where roles and name are told."""
        self.refresh_gives_id_token = True
        self.gives_refresh_token = True
        self.rotates = True
        self.token_claims: dict[str, Any] = {}
        """Bends claims of identity tokens; None leaves one out."""
        self.answer: dict[str, str | None] = {}
        """Bends what the browser brings back."""
        self.metadata: dict[str, Any] = {}
        self.status: int | None = None
        """Answers everything but discovery with this status."""
        self.skew = 0
        self.asked: list[str] = []
        self.bodies: list[dict[str, str]] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.refresh_tokens: dict[str, str] = {}
        self.access_tokens: dict[str, str] = {}
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        issuer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer._get(self)

            def do_POST(self) -> None:
                issuer._post(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Answer)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Be out of reach; `start` comes back at the same address."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def rotate_keys(self) -> None:
        """Sign with a new key from now on; the old one is withdrawn."""
        self.key = new_key("RSA")
        self.keys = [self.key]

    def id_token(self, nonce: str | None, **changes: Any) -> str:
        now = int(time.time()) + self.skew
        claims = {"iss": self.url, "sub": self.person, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce}
        claims |= self._told("id_token") | self.token_claims | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key, registry=SIGNERS, default_type=None)

    def logout_token(self, *, header: dict[str, Any] | None = None, key: Any = None, **changes: Any) -> str:
        """Say that a person's sessions are over; a claim or header field given as None is left out."""
        now = int(time.time()) + self.skew
        claims = {"iss": self.url, "sub": self.person, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": uuid4().hex}
        claims |= {"events": {SIGNED_OUT: {}}} | changes
        head = {"alg": "RS256", "kid": self.key.kid, "typ": "logout+jwt", **(header or {})}
        claims, head = ({name: value for name, value in part.items() if value is not None} for part in (claims, head))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.encode(head, claims, key or self.key, registry=SIGNERS, default_type=None)

    def _told(self, where: str) -> dict[str, Any]:
        return {"name": self.name, GRANTS_CLAIM: self.groups} if where in self.claims_in else {}

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        self.asked.append(parts.path)
        if parts.path == "/.well-known/openid-configuration":
            found = {name: f"{self.url}{path}" for name, path in PATHS.items()}
            _send(request, 200, {"issuer": self.url, **found, **self.metadata})
        elif self.status is not None:
            _send(request, self.status, {"error": "temporarily_unavailable"})
        elif parts.path == "/o/keys.json":
            _send(request, 200, {"keys": [key.as_dict(private=False) for key in self.keys]})
        elif parts.path == "/o/start":
            self._authorize(request, dict(parse_qsl(parts.query)))
        elif parts.path == "/o/me":
            person = self.access_tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
            _send(request, 200 if person else 401, {"sub": person, **self._told("userinfo")})
        elif parts.path == "/o/leave":
            given = dict(parse_qsl(parts.query))
            self.bodies.append(given)
            _redirect(request, given["post_logout_redirect_uri"])
        else:
            _send(request, 404, {})

    def _authorize(self, request: BaseHTTPRequestHandler, given: dict[str, str]) -> None:
        if given.get("code_challenge_method") != "S256" or given.get("client_id") != CLIENT or given.get("response_type") != "code":
            _send(request, 400, {"error": "invalid_request"})
            return
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**given, "person": self.person}
        answer = {"code": code, "state": given["state"], **self.answer}
        query = urlencode({name: value for name, value in answer.items() if value is not None})
        _redirect(request, f"{given['redirect_uri']}?{query}")

    def _post(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        self.asked.append(parts.path)
        form = dict(parse_qsl(request.rfile.read(int(request.headers["Content-Length"])).decode()))
        self.bodies.append(form)
        if self.status is not None:
            _send(request, self.status, {"error": "temporarily_unavailable"})
        elif not self._is_client(request, form):
            _send(request, 401, {"error": "invalid_client"})
        elif parts.path == "/o/forget":
            self.refresh_tokens.pop(form["token"], None)
            _send(request, 200, {})
        elif parts.path == "/o/exchange" and form["grant_type"] == "authorization_code":
            self._exchange(request, form)
        elif parts.path == "/o/exchange":
            person = self.refresh_tokens.get(form["refresh_token"])
            if person is None:
                _send(request, 400, {"error": "invalid_grant"})
                return
            if self.rotates:
                del self.refresh_tokens[form["refresh_token"]]
            _send(request, 200, self._tokens(person, None, again=True))
        else:
            _send(request, 404, {})

    def _is_client(self, request: BaseHTTPRequestHandler, form: dict[str, str]) -> bool:
        if self.secret is None:
            return form.get("client_id") == CLIENT
        given = request.headers.get("Authorization", "").removeprefix("Basic ")
        if given:
            name, _, secret = base64.b64decode(given).decode().partition(":")
            return (unquote_plus(name), unquote_plus(secret)) == (CLIENT, self.secret)
        return (form.get("client_id"), form.get("client_secret")) == (CLIENT, self.secret)

    def _exchange(self, request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        code = self.codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        if code is None or code["redirect_uri"] != form.get("redirect_uri") or code["code_challenge"] != challenge:
            _send(request, 400, {"error": "invalid_grant"})
            return
        _send(request, 200, self._tokens(code["person"], code.get("nonce"), again=False))

    def _tokens(self, person: str, nonce: str | None, *, again: bool) -> dict[str, Any]:
        access, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.access_tokens[access] = person
        tokens: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": 120}
        if not again or self.refresh_gives_id_token:
            tokens["id_token"] = self.id_token(nonce)
        if self.gives_refresh_token and (self.rotates or not again):
            self.refresh_tokens[refresh] = person
            tokens["refresh_token"] = refresh
        return tokens


def _send(request: BaseHTTPRequestHandler, status: int, document: dict[str, Any]) -> None:
    raw = json.dumps(document).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(raw)))
    request.end_headers()
    request.wfile.write(raw)


def _redirect(request: BaseHTTPRequestHandler, where: str) -> None:
    request.send_response(302)
    request.send_header("Location", where)
    request.send_header("Content-Length", "0")
    request.end_headers()


@pytest.fixture
def pages_issuer() -> Iterator[PagesIssuer]:
    """An issuer for pages, for one test."""
    made = PagesIssuer()
    yield made
    made.stop()
