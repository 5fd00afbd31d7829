"""Sessions of people who signed in for pages: opened, found again by their cookie, renewed at the issuer, ended.

A session is a row whose key is the hash of a random cookie and whose contents are sealed under a key derived from it: a stolen database
opens none and names nobody. Instants come from one clock, which tests turn.
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chassis import sessions_store as store
from chassis.errors import Unavailable
from chassis.identity import Principal
from chassis.relying_party import RelyingParty, SignedIn, SignedOut, SignInRefusedError
from chassis.storage import SYSTEM, Database, System
from chassis.telemetry import get_logger

REFRESH_EVERY: Final = timedelta(minutes=5)
"""So old may roles be while the issuer answers."""
TRY_AGAIN_AFTER: Final = timedelta(seconds=30)
WITHOUT_REFRESH_AT_MOST: Final = timedelta(hours=1)
MAX_SESSIONS: Final = 20
"""Of one person at one service; the one longest unused ends."""
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_NONCE_BYTES: Final = 12
log = get_logger()


def utc_now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A session's cookie: 256 random bits. What is stored and what a page shows are derived from it one way."""

    raw: bytes

    @classmethod
    def new(cls) -> Self:
        """Draw one."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def read(cls, cookie: str) -> Self | None:
        """Return the secret that a cookie holds, None if it can be none."""
        if _SECRET.fullmatch(cookie) is None:
            return None
        secret = cls(base64.urlsafe_b64decode(cookie + "="))
        return secret if secret.cookie == cookie else None

    @property
    def cookie(self) -> str:
        """The cookie's value."""
        return base64.urlsafe_b64encode(self.raw).rstrip(b"=").decode()

    @property
    def id(self) -> bytes:
        """The key of the session's row."""
        return hashlib.sha256(self.raw).digest()

    @property
    def csrf(self) -> str:
        """What a page sends along with every unsafe request."""
        return base64.urlsafe_b64encode(self._derived(b"csrf")).rstrip(b"=").decode()

    def seal(self, document: Mapping[str, Any], *, service: str) -> bytes:
        """Encrypt a session's contents for its row alone."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return nonce + AESGCM(self._derived(b"contents")).encrypt(nonce, text, self._bound_to(service))

    def open(self, contents: bytes, *, service: str) -> dict[str, Any]:
        """Decrypt a session's contents; raises InvalidTag for those of another."""
        nonce, sealed = contents[:_NONCE_BYTES], contents[_NONCE_BYTES:]
        document: dict[str, Any] = json.loads(AESGCM(self._derived(b"contents")).decrypt(nonce, sealed, self._bound_to(service)))
        return document

    def _bound_to(self, service: str) -> bytes:
        return b"\0".join((b"mrm-session/1", service.encode(), self.id))

    def _derived(self, purpose: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"mrm-session/1 " + purpose).derive(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that lives."""

    secret: Secret
    principal: Principal
    person: str
    """The service's own lasting name for the person."""
    issuer_session: bytes | None
    """The service's own name for the issuer's session that it hangs on; None if the issuer named none."""
    refresh_token: str | None
    id_token: str | None
    started_at: datetime
    seen_at: datetime
    refresh_at: datetime | None
    idle_expires_at: datetime
    expires_at: datetime

    def __repr__(self) -> str:
        return "Session(...)"


class Sessions:
    """The sessions of one service."""

    def __init__(
        self,
        service: str,
        *,
        database: Database,
        relying_party: RelyingParty,
        actor_of: Callable[[Principal], str],
        idle: timedelta,
        lifetime: timedelta,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`actor_of` names a person in the service's record; asked without roles, it names them for good."""
        self.relying_party = relying_party
        self.clock = clock
        self._service = service
        self._database = database
        self._actor_of = actor_of
        self._idle = idle
        self._lifetime = lifetime

    async def open(self, signed_in: SignedIn, *, replacing: Iterable[Secret] = ()) -> Session:
        """Begin a session under a new secret; the one the browser had before ends."""
        now, secret = self.clock(), Secret.new()
        renewable = signed_in.refresh_token is not None
        lifetime = self._lifetime if renewable else min(self._lifetime, timedelta(seconds=signed_in.lasts_seconds), WITHOUT_REFRESH_AT_MOST)
        session = Session(
            secret=secret,
            principal=signed_in.principal,
            person=self._person(signed_in.principal.subject),
            issuer_session=None if signed_in.sid is None else self._issuer_session(signed_in.sid),
            refresh_token=signed_in.refresh_token,
            id_token=signed_in.id_token,
            started_at=now,
            seen_at=now,
            refresh_at=now + REFRESH_EVERY if renewable else None,
            idle_expires_at=min(now + self._idle, now + lifetime),
            expires_at=now + lifetime,
        )
        async with self._database.transaction("sign_in", by=self._acting(session)) as tx:
            for before in replacing:
                await store.delete_session(tx, before.id)
            await store.add_session(tx, self._row(session))
            await store.delete_surplus(tx, session.person, keep=MAX_SESSIONS)
            tx.audit("session.sign_in", situation=None)
        return session

    async def find(self, cookie: str) -> Session | None:
        """Return the session of a cookie if it lives, marked as used, with roles no older than the issuer's silence makes them."""
        secret = Secret.read(cookie)
        if secret is None:
            return None
        now = self.clock()
        async with self._database.transaction("find_session", by=SYSTEM) as tx:
            row = await store.find_session(tx, secret.id, at=now)
            if row is None:
                return None
            if now - row.seen_at >= min(timedelta(minutes=1), self._idle / 10):
                row = replace(row, seen_at=now, idle_expires_at=min(now + self._idle, row.expires_at))
                await store.mark_seen(tx, row.id, at=now, idle_expires_at=row.idle_expires_at)
            due = row.refresh_at is not None and row.refresh_at <= now
            mine = due and await store.claim_refresh(tx, row.id, at=now, until=now + TRY_AGAIN_AFTER)
        try:
            session = self._session(secret, row)
        except (InvalidTag, ValueError, LookupError, TypeError) as error:
            log.failure("session_unreadable", error)
            return None
        return await self._renewed(session) if mine else session

    async def list_of(self, session: Session) -> list[store.SessionTimes]:
        """Return the living sessions of a session's person at this service."""
        async with self._database.reading("list_sessions", by=SYSTEM) as tx:
            return await store.list_sessions(tx, session.person, at=self.clock())

    async def end(self, session: Session) -> None:
        """Sign out of one session; the issuer is told, if it answers."""
        async with self._database.transaction("sign_out", by=self._acting(session)) as tx:
            if await store.delete_session(tx, session.secret.id):
                tx.audit("session.sign_out", situation=None)

    async def end_all(self, session: Session) -> None:
        """Sign out of every session of the person at this service, and take back at the issuer what renews sessions elsewhere."""
        async with self._database.transaction("sign_out_everywhere", by=self._acting(session)) as tx:
            count = await store.delete_sessions(tx, session.person)
            tx.audit("session.sign_out_everywhere", situation=None, detail={"sessions": count})
        if session.refresh_token is not None:
            await self.relying_party.revoke(session.refresh_token)

    async def end_by_issuer(self, ended: SignedOut) -> None:
        """End what the issuer says is over: the sessions of a person that hang on its session, or all of theirs at this service.

        A session of the person of which the issuer never said on which of its own it hangs ends too.
        """
        issuer_session = None if ended.sid is None else self._issuer_session(ended.sid)
        for person in await self._people_meant(ended.subject, issuer_session):
            async with self._database.transaction("end_sessions_by_issuer", by=System(person)) as tx:
                if issuer_session is None:
                    count = await store.delete_sessions(tx, person)
                else:
                    count = await store.delete_issuer_session(tx, person, issuer_session)
                if count:
                    tx.audit("session.ended", situation=None, detail={"reason": "issuer", "sessions": count})

    async def _people_meant(self, subject: str | None, issuer_session: bytes | None) -> list[str]:
        if subject is not None:
            return [self._person(subject)]
        if issuer_session is None:
            return []
        async with self._database.reading("find_issuer_session", by=SYSTEM) as tx:
            return await store.people_of_issuer_session(tx, issuer_session)

    async def _renewed(self, session: Session) -> Session | None:
        """Ask the issuer again: it renews, or ends the session; while it is away the session goes on as it was."""
        if session.refresh_token is None:
            return session
        subject = session.principal.subject
        try:
            fresh = await self.relying_party.refresh(session.refresh_token, subject=subject, id_token=session.id_token)
        except Unavailable:
            return session
        except SignInRefusedError as refusal:
            async with self._database.transaction("end_session", by=self._acting(session)) as tx:
                if await store.delete_session(tx, session.secret.id):
                    tx.audit("session.ended", situation=None, detail={"reason": refusal.code})
            return None
        session = replace(
            session,
            principal=fresh.principal,
            refresh_token=fresh.refresh_token,
            id_token=fresh.id_token,
            refresh_at=self.clock() + REFRESH_EVERY,
        )
        row = self._row(session)
        async with self._database.transaction("renew_session", by=SYSTEM) as tx:
            lives = await store.save_contents(tx, row.id, contents=row.contents, refresh_at=self.clock() + REFRESH_EVERY)
        return session if lives else None

    def _acting(self, session: Session) -> System:
        """Return for whom the record writes down what happens to a session."""
        return System(self._actor_of(session.principal))

    def _person(self, subject: str) -> str:
        return self._actor_of(Principal(subject, subject, frozenset()))

    def _issuer_session(self, sid: str) -> bytes:
        """Return the name of the issuer's session here: one way, and at a service that keeps people under marks, under its key as well."""
        name = self._person(f"session\0{sid}")  # no person is called so: subjects have no control characters
        return hashlib.sha256(b"\0".join((b"mrm-session/1 issuer session", self._service.encode(), name.encode()))).digest()

    def _row(self, session: Session) -> store.SessionRow:
        contents = {
            "subject": session.principal.subject,
            "name": session.principal.name,
            "grants": sorted(session.principal.grants),
            "refresh_token": session.refresh_token,
            "id_token": session.id_token,
        }
        return store.SessionRow(
            id=session.secret.id,
            person=session.person,
            issuer_session=session.issuer_session,
            contents=session.secret.seal(contents, service=self._service),
            started_at=session.started_at,
            seen_at=session.seen_at,
            refresh_at=session.refresh_at,
            idle_expires_at=session.idle_expires_at,
            expires_at=session.expires_at,
        )

    def _session(self, secret: Secret, row: store.SessionRow) -> Session:
        contents = secret.open(row.contents, service=self._service)
        grants = frozenset((situation, role) for situation, role in contents["grants"])
        return Session(
            secret=secret,
            principal=Principal(contents["subject"], contents["name"], grants),
            person=row.person,
            issuer_session=row.issuer_session,
            refresh_token=contents["refresh_token"],
            id_token=contents["id_token"],
            started_at=row.started_at,
            seen_at=row.seen_at,
            refresh_at=row.refresh_at,
            idle_expires_at=row.idle_expires_at,
            expires_at=row.expires_at,
        )
