"""The public keys of the OpenID Connect issuer: found by discovery, kept, and fetched again when one is unknown or they are old."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from chassis.telemetry import get_logger

ALGORITHMS: Final = frozenset({"EdDSA", "Ed25519", "ES256", "PS256", "RS256"})
"""Signature algorithms accepted from an issuer; none of them is symmetric."""
MAX_DOCUMENT_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 100
MIN_RSA_BITS: Final = 2048
OLD_AFTER_SECONDS: Final = 300.0
RETRY_AFTER_SECONDS: Final = 5.0
_KINDS: Final = {
    "EdDSA": (OKPKey, "Ed25519"),
    "Ed25519": (OKPKey, "Ed25519"),
    "ES256": (ECKey, "P-256"),
    "PS256": (RSAKey, None),
    "RS256": (RSAKey, None),
}
log = get_logger()


class IssuerUnreachableError(Exception):
    """No key of the issuer is known and none can be fetched."""


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """One public key with the algorithms it may verify."""

    id: str | None
    algorithms: frozenset[str]
    key: OKPKey | ECKey | RSAKey


def verifies(key: IssuerKey, algorithm: str, signature: bytes, message: bytes) -> bool:
    """Say whether `signature` is this key's over `message`."""
    if algorithm not in key.algorithms:
        return False
    try:
        return JWSRegistry.algorithms[algorithm].verify(message, signature, key.key)
    except (JoseError, ValueError):
        return False


class IssuerKeys:
    """Fetches keys one request at a time; while the issuer is down the known keys go on."""

    def __init__(self, issuer: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys: tuple[IssuerKey, ...] = ()
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()
        self._background: asyncio.Task[None] | None = None
        self.generation = 0
        """Grows whenever the keys have changed; what was checked with an older generation is checked anew."""

    async def ensure(self) -> None:
        """Have keys; raises IssuerUnreachableError."""
        if not self._keys:
            await self._fetch()
        if not self._keys:
            raise IssuerUnreachableError

    async def find(self, key_id: str | None, algorithm: str) -> IssuerKey | None:
        """Return the key a token names (without a name: the only one that fits); raises IssuerUnreachableError."""
        await self.ensure()
        self.refresh_if_old()
        found = self._pick(key_id, algorithm)
        if found is None:
            await self._fetch()
            found = self._pick(key_id, algorithm)
        return found

    def refresh_if_old(self) -> None:
        """Fetch in the background if the keys are old; nobody waits for it."""
        idle = self._background is None or self._background.done()
        if idle and self._clock() - self._fetched_at > OLD_AFTER_SECONDS and self._may_try():
            self._background = asyncio.get_running_loop().create_task(self._fetch())

    async def close(self) -> None:
        """Stop a fetch that is under way."""
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)

    def _pick(self, key_id: str | None, algorithm: str) -> IssuerKey | None:
        fitting = [key for key in self._keys if algorithm in key.algorithms and key_id in (None, key.id)]
        return fitting[0] if len(fitting) == 1 else None

    def _may_try(self) -> bool:
        return self._clock() - self._tried_at >= RETRY_AFTER_SECONDS

    async def _fetch(self) -> None:
        """Fetch once, however many ask, and not again at once: an unknown key id must not make us flood the issuer."""
        async with self._lock:
            if not self._may_try():
                return
            self._tried_at = self._clock()
            try:
                keys = await _download(self._issuer)
            except (httpx.HTTPError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
                log.warning("issuer_keys_not_fetched", error=type(error).__name__)
                return
            if not keys:
                log.warning("issuer_keys_not_fetched", error="empty")
                return
            self._fetched_at = self._clock()
            if _fingerprints(keys) != _fingerprints(self._keys):
                self._keys = keys
                self.generation += 1
                log.info("issuer_keys_fetched", count=len(keys))


def _fingerprints(keys: tuple[IssuerKey, ...]) -> frozenset[tuple[str | None, frozenset[str], str]]:
    return frozenset((key.id, key.algorithms, key.key.thumbprint()) for key in keys)


async def _download(issuer: str) -> tuple[IssuerKey, ...]:
    async with httpx.AsyncClient(timeout=5.0, follow_redirects=False, trust_env=False) as client:
        metadata = await get_json(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if metadata["issuer"] != issuer:
            raise ValueError("the issuer's metadata speaks of another issuer")
        address = str(metadata["jwks_uri"])
        if urlsplit(address).scheme != "https" and urlsplit(issuer).scheme == "https":
            raise ValueError("the issuer's keys are offered without TLS")
        document = await get_json(client, address)
    entries = document["keys"]
    if not isinstance(entries, list):
        raise TypeError("the issuer's key set is not one")
    return tuple(key for entry in entries[:MAX_KEYS] if (key := _usable_key(entry)) is not None)


async def get_json(client: httpx.AsyncClient, address: str, *, token: str | None = None) -> dict[str, Any]:
    """Return a JSON object of the issuer, read with an access token where one is given; raises httpx's errors, ValueError, TypeError."""
    raw = bytearray()
    headers = {"Accept": "application/json"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    async with client.stream("GET", address, headers=headers) as response:
        if response.status_code != httpx.codes.OK:
            raise ValueError("the issuer did not answer with a document")
        async for chunk in response.aiter_bytes():
            raw += chunk
            if len(raw) > MAX_DOCUMENT_BYTES:
                raise ValueError("the issuer's document is too long")
    document = json.loads(bytes(raw))
    if not isinstance(document, dict):
        raise TypeError("the issuer's document is not an object")
    return document


def _usable_key(entry: object) -> IssuerKey | None:
    """Read one JWK; keys for encryption, symmetric and weak keys are as if they were not there."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    key_id, stated = entry.get("kid"), entry.get("alg")
    if key_id is not None and not isinstance(key_id, str):
        return None
    public = {name: value for name, value in entry.items() if name in ("kty", "crv", "x", "y", "n", "e")}
    for kind in (OKPKey, ECKey, RSAKey):
        if public.get("kty") == kind.key_type:
            try:
                key = kind.import_key(public)
                algorithms = _algorithms_of(key, str(public.get("crv")), stated)
            except (JoseError, ValueError, TypeError, LookupError):
                return None
            return IssuerKey(key_id, algorithms, key) if algorithms else None
    return None


def _algorithms_of(key: OKPKey | ECKey | RSAKey, curve: str, stated: object) -> frozenset[str]:
    if isinstance(key, RSAKey) and key.public_key.key_size < MIN_RSA_BITS:
        return frozenset()
    fitting = {name for name, (kind, wanted) in _KINDS.items() if isinstance(key, kind) and wanted in (None, curve)}
    if stated in ("EdDSA", "Ed25519"):
        return frozenset(fitting & {"EdDSA", "Ed25519"})
    return frozenset(fitting if stated is None else fitting & {stated})
