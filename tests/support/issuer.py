"""A small real OpenID Connect issuer on loopback: discovery and keys over HTTP, and tokens of any shape a test wants."""

import base64
import json
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

AUDIENCE = "mrm"
SIGNERS = JWSRegistry(algorithms=["EdDSA", "Ed25519", "ES256", "PS256", "RS256", "HS256"])


def new_key(kind: str = "Ed25519", kid: str | None = None) -> OKPKey | ECKey | RSAKey:
    """Make a signing key with an id."""
    parameters: Any = {"kid": kid or uuid4().hex, "use": "sig"}
    if kind == "Ed25519":
        return OKPKey.generate_key("Ed25519", parameters)
    return ECKey.generate_key("P-256", parameters) if kind == "P-256" else RSAKey.generate_key(2048, parameters)


class Issuer:
    """Serves discovery and a key set; what it serves can be changed while it runs."""

    def __init__(self) -> None:
        self.key = new_key()
        self.served: list[dict[str, Any]] = [self.key.as_dict(private=False)]
        self.fetches = 0
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/realms/mrm"

    def start(self) -> None:
        issuer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/realms/mrm/.well-known/openid-configuration":
                    body = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                elif self.path == "/realms/mrm/keys":
                    issuer.fetches += 1
                    body = {"keys": issuer.served}
                else:
                    self.send_error(404)
                    return
                raw = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Answer)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Be out of reach; `start` comes back at the same address."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def claims(self, person: str, *groups: str, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": person,
            "name": person.title(),
            "groups": list(groups),
            "iat": now,
            "exp": now + 300,
            "jti": uuid4().hex,
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def token(self, person: str, *groups: str, header: dict[str, Any] | None = None, key: Any = None, **changes: Any) -> str:
        """Sign a token of a person in groups such as `/XAA/monitor`; a claim or header field given as None is left out."""
        key = key or self.key
        algorithm = {"OKP": "EdDSA", "EC": "ES256", "RSA": "RS256"}[key.key_type]
        head = {"alg": algorithm, "kid": key.kid, "typ": "at+jwt", **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # the name EdDSA is old, and what Keycloak writes
            return jwt.encode(head, self.claims(person, *groups, **changes), key, registry=SIGNERS, default_type=None)


def segment(document: object) -> str:
    """Encode one part of a token by hand."""
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer of its own for one test."""
    made = Issuer()
    yield made
    made.stop()
