"""The issuer ends somebody's sessions: exactly those that its signed token names, and nothing for any other token."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chassis.http.sessions import FORM
from local_stack.postgres import PostgresServer
from support.apps import SERVICES
from support.browser import Browser
from support.issuer import new_key, segment
from support.pages_issuer import CLIENT, SIGNED_OUT, PagesIssuer
from support.signing_in import Pages, pages_of, registered

ENDED = {"reason": "issuer", "sessions": 1}


async def tell(pages: Pages, token: str, **fields: str) -> httpx.Response:
    """Bring a logout token as an issuer does: without a browser."""
    async with httpx.AsyncClient(timeout=30) as issuer:
        return await issuer.post(f"{pages.url}/sign-out/by-issuer", data={"logout_token": token, **fields})


async def signed_in(pages: Pages, pages_issuer: PagesIssuer, browser: Browser, *, sid: str | None, person: str = "amina") -> None:
    """Sign somebody in under one of the issuer's own sessions."""
    pages_issuer.person, pages_issuer.token_claims = person, {"sid": sid}
    await pages.signed_in(browser)


async def states(pages: Pages, *browsers: Browser) -> list[int]:
    return [(await pages.session(browser)).status_code for browser in browsers]


@pytest.fixture
async def patient(postgres_server: PostgresServer, pages_issuer: PagesIssuer, tmp_path: Path) -> AsyncIterator[Pages]:
    """Intake's pages, where any number of tokens may be refused."""
    settings = registered(pages_issuer) | {"rate_of_failures": 1e6, "burst_of_failures": 10**6}
    async with pages_of("intake", postgres_server, tmp_path, **settings) as made:
        yield made


async def test_the_sessions_of_one_of_the_issuers_sessions_end(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as first, pages.browser() as second, pages.browser() as other:
        await signed_in(pages, pages_issuer, first, sid="s-1")
        await signed_in(pages, pages_issuer, second, sid="s-2")
        await signed_in(pages, pages_issuer, other, sid="s-3", person="bahar")
        token = pages_issuer.logout_token(sub="amina", sid="s-1")
        answer = await tell(pages, token, more="means nothing")
        assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-store")
        assert await states(pages, first, second, other) == [401, 200, 200]
        acts = await pages.acts()
        assert acts[-1] == (acts[0][0], "session.ended", ENDED)
        assert (await tell(pages, token)).status_code == 200
        assert await pages.acts() == acts
        assert (await tell(pages, pages_issuer.logout_token(sub=None, sid="s-2"))).status_code == 200
        assert await states(pages, first, second, other) == [401, 401, 200]


async def test_a_session_goes_on_hanging_on_the_issuers_session_when_it_is_renewed(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        await signed_in(pages, pages_issuer, browser, sid="s-1")
        pages_issuer.token_claims = {}
        pages.clock.turn(minutes=5)
        assert await states(pages, browser) == [200]
        await tell(pages, pages_issuer.logout_token(sid="s-1"))
        assert await states(pages, browser) == [401]


@pytest.mark.parametrize("service", SERVICES)
async def test_all_sessions_of_a_person_end_at_every_service(
    service: str, postgres_server: PostgresServer, pages_issuer: PagesIssuer, tmp_path: Path
) -> None:
    async with (
        pages_of(service, postgres_server, tmp_path, **registered(pages_issuer)) as pages,
        pages.browser() as first,
        pages.browser() as second,
        pages.browser() as other,
    ):
        await signed_in(pages, pages_issuer, first, sid="s-1")
        await signed_in(pages, pages_issuer, second, sid=None)
        await signed_in(pages, pages_issuer, other, sid="s-3", person="bahar")
        assert (await tell(pages, pages_issuer.logout_token(sub="amina"))).status_code == 200
        assert await states(pages, first, second, other) == [401, 401, 200]
        assert (await pages.acts())[-1][1:] == ("session.ended", {"reason": "issuer", "sessions": 2})


async def test_a_session_of_which_the_issuer_named_none_of_its_own_ends_with_any_of_the_person(
    pages: Pages, pages_issuer: PagesIssuer
) -> None:
    async with pages.browser() as unnamed, pages.browser() as named, pages.browser() as other:
        await signed_in(pages, pages_issuer, unnamed, sid=None)
        await signed_in(pages, pages_issuer, named, sid="s-2")
        await signed_in(pages, pages_issuer, other, sid=None, person="bahar")
        await tell(pages, pages_issuer.logout_token(sub="amina", sid="s-1"))
        assert await states(pages, unnamed, named, other) == [401, 200, 200]


async def test_a_session_of_the_issuer_ends_nobody_elses(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        await signed_in(pages, pages_issuer, browser, sid="s-1")
        for changes in ({"sub": "bahar", "sid": "s-1"}, {"sub": "bahar"}, {"sub": None, "sid": "s-2"}, {"sub": None, "sid": "amina"}):
            assert (await tell(pages, pages_issuer.logout_token(**changes))).status_code == 200
        assert await states(pages, browser) == [200]
        assert [action for _, action, _ in await pages.acts()] == ["session.sign_in"]


async def test_intake_does_not_keep_what_the_issuer_calls_its_sessions(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        await signed_in(pages, pages_issuer, browser, sid="an issuer's session")
    (row,) = await pages.owner.fetch("select * from sessions")
    stored = b"|".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())
    assert b"an issuer's session" not in stored
    assert len(row["issuer_session"]) == 32
    for plain in (b"an issuer's session", b"mrm-session/1 issuer session\0intake\0session\0an issuer's session"):
        assert hashlib.sha256(plain).digest() not in stored


@pytest.mark.parametrize("kind", ["logout+jwt", "application/logout+jwt", "JWT", None])
async def test_issuers_may_leave_the_type_out(pages: Pages, pages_issuer: PagesIssuer, kind: str | None) -> None:
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        assert (await tell(pages, pages_issuer.logout_token(header={"typ": kind}))).status_code == 200
        assert await states(pages, browser) == [401]


CLAIMS: dict[str, dict[str, Any]] = {
    "for another client": {"aud": "other"},
    "for nobody": {"aud": None},
    "of another issuer": {"iss": "https://evil.example"},
    "of no issuer": {"iss": None},
    "expired": {"exp": 1},
    "without an end": {"exp": None},
    "from the future": {"iat": 9_999_999_999, "exp": 10_000_000_000},
    "without a beginning": {"iat": None},
    "with a nonce": {"nonce": "n"},
    "with an empty nonce": {"nonce": ""},
    "without events": {"events": None},
    "with no event": {"events": {}},
    "with another event": {"events": {"http://schemas.openid.net/event/other": {}}},
    "events as a list": {"events": [SIGNED_OUT]},
    "the event as a text": {"events": {SIGNED_OUT: "{}"}},
    "the event as a list": {"events": {SIGNED_OUT: []}},
    "without an id": {"jti": None},
    "with an empty id": {"jti": ""},
    "of nobody": {"sub": None},
    "person as a number": {"sub": 7, "sid": "s-1"},
    "person with a line break": {"sub": "a\nb"},
    "session as a list": {"sid": ["s-1"]},
    "an empty session": {"sid": ""},
    "an endless session": {"sid": "s" * 256},
}


async def test_tokens_that_do_not_say_what_they_must_end_nothing(patient: Pages, pages_issuer: PagesIssuer) -> None:
    async with patient.browser() as browser:
        await signed_in(patient, pages_issuer, browser, sid="s-1")
        for name, changes in CLAIMS.items():
            answer = await tell(patient, pages_issuer.logout_token(**changes))
            assert (answer.status_code, answer.json()["code"]) == (400, "logout_token"), name
            assert answer.headers["cache-control"] == "no-store"
        assert await states(patient, browser) == [200]
        assert [action for _, action, _ in await patient.acts()] == ["session.sign_in"]


async def test_tokens_that_the_issuer_did_not_sign_for_this_end_nothing(patient: Pages, pages_issuer: PagesIssuer) -> None:
    sound = pages_issuer.logout_token()
    head, claims, signature = sound.split(".")
    shared = f"{segment({'alg': 'HS256', 'typ': 'logout+jwt'})}.{claims}"
    forged = hmac.digest(pages_issuer.key.as_pem(private=False), shared.encode(), "sha256")
    foreign = new_key("RSA", pages_issuer.key.kid)
    tokens = {
        "unsigned": f"{segment({'alg': 'none', 'typ': 'logout+jwt'})}.{claims}.",
        "stripped": f"{head}.{claims}.",
        "signed with the public key as a secret": f"{shared}.{base64.urlsafe_b64encode(forged).rstrip(b'=').decode()}",
        "signed by somebody else": pages_issuer.logout_token(key=foreign),
        "a key nobody knows": pages_issuer.logout_token(header={"kid": "other"}, key=foreign),
        "another person under the same signature": f"{head}.{segment({'sub': 'bahar', 'aud': CLIENT})}.{signature}",
        "an identity token": pages_issuer.id_token("n"),
        "an identity token without a nonce": pages_issuer.id_token(None),
        "an access token": pages_issuer.logout_token(header={"typ": "at+jwt"}, events=None, aud="mrm"),
        "the type of an access token": pages_issuer.logout_token(header={"typ": "at+jwt"}),
        "with a header we must understand": pages_issuer.logout_token(header={"crit": ["b64"], "b64": True}),
        "no token": "x",
        "nothing": "",
        "too long": "a" * 20_000 + ".b.c",
    }
    async with patient.browser() as browser:
        await patient.signed_in(browser)
        for name, token in tokens.items():
            answer = await tell(patient, token)
            assert (answer.status_code, answer.json()["code"]) == (400, "logout_token"), name
        async with httpx.AsyncClient(base_url=patient.url) as client:
            at = "/sign-out/by-issuer"
            asked = [
                await client.post(at, content=f"logout_token={sound}&logout_token={sound}", headers={"Content-Type": FORM}),
                await client.post(at, json={"logout_token": sound}),
                await client.post(f"{at}?logout_token={sound}"),
                await client.post(at, content=f"logout_token={sound}&x=\xff".encode("latin-1"), headers={"Content-Type": FORM}),
                await client.post(at, content="&".join(["x="] * 50) + f"&logout_token={sound}", headers={"Content-Type": FORM}),
                await client.post(at, headers={"Authorization": f"Bearer {sound}", "Content-Type": FORM}),
            ]
            assert [answer.status_code for answer in asked] == [400] * len(asked)
            assert (await client.get(f"{at}?logout_token={sound}")).status_code == 405
        assert await states(patient, browser) == [200]
        assert (await tell(patient, sound)).status_code == 200
        assert await states(patient, browser) == [401]


async def test_the_issuer_is_asked_to_come_again_while_the_database_is_away(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        await signed_in(pages, pages_issuer, browser, sid="s-1")
        tokens = [pages_issuer.logout_token(sid="s-1"), pages_issuer.logout_token(), pages_issuer.logout_token(sub=None, sid="s-1")]
        await pages.service.database.close()
        for token in tokens:
            answer = await tell(pages, token)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) > 0
        await pages.service.database.open()
        assert await states(pages, browser) == [200]
        assert (await tell(pages, tokens[0])).status_code == 200
        assert await states(pages, browser) == [401]


async def test_a_token_is_not_refused_for_keys_that_could_not_be_fetched(pages: Pages, pages_issuer: PagesIssuer) -> None:
    token = pages_issuer.logout_token()
    pages_issuer.stop()
    assert (await tell(pages, token)).status_code == 503


async def test_whoever_tries_tokens_is_slowed_and_the_issuer_is_not(
    postgres_server: PostgresServer, pages_issuer: PagesIssuer, tmp_path: Path
) -> None:
    settings = registered(pages_issuer) | {"rate_of_failures": 1e-6, "burst_of_failures": 3}
    async with pages_of("export", postgres_server, tmp_path, **settings) as pages, pages.browser() as browser:
        await pages.signed_in(browser)
        assert [(await tell(pages, "a.b.c")).status_code for _ in range(4)] == [400, 400, 400, 429]
        assert await states(pages, browser) == [200]
        assert (await tell(pages, pages_issuer.logout_token())).status_code == 200
        assert await pages.count() == 0
        assert await states(pages, browser) == [429]  # its cookie opens nothing now, which counts for the address as well


async def test_the_account_page_leads_to_the_issuers_own_where_there_is_one(
    postgres_server: PostgresServer, pages_issuer: PagesIssuer, tmp_path: Path
) -> None:
    settings = registered(pages_issuer) | {"issuer_account_url": "https://issuer.example/me?tab=devices&x=1"}
    async with pages_of("export", postgres_server, tmp_path, **settings) as pages, pages.browser() as browser:
        answer = await pages.signed_in(browser)
        assert '<a href="https://issuer.example/me?tab=devices&amp;x=1" rel="noreferrer">' in answer.text
        assert "in all browsers" in answer.text
