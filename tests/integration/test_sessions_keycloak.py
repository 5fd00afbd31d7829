"""The whole way through the real identity provider, over HTTP as a browser goes it: in, on, everywhere out, from either side."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from local_stack.identity import IdentityServer
from local_stack.people import pages_client, password_of
from local_stack.ports import free_ports
from local_stack.postgres import PostgresServer
from support.browser import Browser, forms
from support.running import Stack
from support.signing_in import Pages, pages_of

AT_ONCE_TRIES = 240
"""A quarter of a second each: the provider is slow on a busy machine. No clock is turned, so that no renewal can be what ends a session."""


@pytest.fixture
async def at_keycloak(
    stack: Stack, identity_server: IdentityServer, postgres_server: PostgresServer, tmp_path: Path
) -> AsyncIterator[tuple[Pages, Pages]]:
    """Verification and export on loopback, as the local stack serves them, and a situation with the local people's roles in it."""
    names = ("verification", "export")
    with identity_server.directory() as directory:
        directory.grant_situation("XSE-2024")
    origins = [f"http://127.0.0.1:{port}" for port in free_ports(2)]
    settings = [{"issuer": identity_server.issuer, "origin": origin} for origin in origins]
    async with (
        pages_of(names[0], postgres_server, tmp_path / "v", client_id=pages_client(names[0]), **settings[0]) as first,
        pages_of(names[1], postgres_server, tmp_path / "e", client_id=pages_client(names[1]), **settings[1]) as second,
    ):
        with identity_server.directory() as directory:
            directory.tell_of_sign_outs({names[0]: first.url, names[1]: second.url})
        yield first, second
    with identity_server.directory() as directory:
        directory.tell_of_sign_outs({name: stack.urls[name] for name in names})
        directory.revoke_situation("XSE-2024")


async def log_in(pages: Pages, browser: Browser, identity: IdentityServer, username: str) -> None:
    """Go to the sign-in page and fill in the provider's own form."""
    browser.hosts[pages.origin] = pages.url
    answer = await browser.get(f"{pages.origin}/sign-in?next=/account")
    if forms(answer) and "kc-form-login" in answer.text:
        asked = dict(parse_qsl(urlsplit(browser.visited[1]).query))
        assert asked["code_challenge_method"] == "S256"
        answer = await browser.submit(answer, username=username, password=password_of(identity._secrets, username))
    assert browser.url == f"{pages.origin}/account", answer.text
    assert answer.status_code == 200


async def is_out_at_once(pages: Pages, browser: Browser) -> bool:
    """Wait until a service no longer knows a browser, without waiting for a renewal: its clock stands where it stood."""
    for _ in range(AT_ONCE_TRIES):
        if (await pages.session(browser)).status_code == 401:
            return True
        await asyncio.sleep(0.25)
    return False


async def test_in_on_and_everywhere_out(at_keycloak: tuple[Pages, Pages], identity_server: IdentityServer) -> None:
    verification, export = at_keycloak
    async with Browser() as browser, Browser() as elsewhere:
        await log_in(verification, browser, identity_server, "cochair_un")
        told = (await verification.session(browser)).json()
        assert told["name"] == "Ulla Cochair"
        assert {"situation": "XSE-2024", "role": "cochair_un"} in told["roles"]  # other tests of the stack give further ones
        assert (await browser.get(f"{verification.origin}/v1/situations")).status_code == 200

        before = len(browser.visited)
        await log_in(export, browser, identity_server, "cochair_un")
        assert not any("login-actions" in url for url in browser.visited[before:])  # the provider still knew the browser
        await log_in(verification, elsewhere, identity_server, "cochair_un")
        await log_in(export, elsewhere, identity_server, "cochair_un")

        with identity_server.directory() as directory:
            directory.revoke_situation("XSE-2024")
        verification.clock.turn(minutes=5)
        assert (await verification.session(browser)).json()["roles"] == []
        with identity_server.directory() as directory:
            directory.grant_situation("XSE-2024")
        verification.clock.turn(minutes=5)
        assert len((await verification.session(browser)).json()["roles"]) == 1

        page = await browser.get(f"{verification.origin}/account")
        ending = await browser.submit(page, which=1)
        assert ending.status_code == 200
        assert await verification.count() == 0
        assert (await verification.session(elsewhere)).status_code == 401
        back = await browser.get(ending.headers["refresh"].removeprefix("0; url="))
        assert browser.url == f"{verification.origin}/account?done=everywhere", back.text
        assert "signed out everywhere" in back.text

        assert await is_out_at_once(export, browser)
        assert (await export.session(elsewhere)).status_code == 401
        assert [act[1:] for act in await export.acts()][-1] == ("session.ended", {"reason": "issuer", "sessions": 2})
        answer = await browser.get(f"{verification.origin}/sign-in")
        assert "kc-form-login" in answer.text  # the provider asks for the password again


async def test_who_is_signed_out_at_the_provider_is_out_of_every_service_at_once(
    at_keycloak: tuple[Pages, Pages], identity_server: IdentityServer
) -> None:
    async with Browser() as browser, Browser() as elsewhere, Browser() as other:
        for pages in at_keycloak:
            await log_in(pages, browser, identity_server, "cochair_un")
            await log_in(pages, elsewhere, identity_server, "cochair_un")
            await log_in(pages, other, identity_server, "officer")
            assert await pages.count() == 3
        with identity_server.directory() as directory:
            await asyncio.to_thread(directory.end_sessions, "cochair_un")
        for pages in at_keycloak:
            assert await is_out_at_once(pages, browser)
            assert await is_out_at_once(pages, elsewhere)
            assert (await pages.session(other)).status_code == 200
            assert await pages.count() == 1
            assert [act[1:] for act in await pages.acts()][-1] == ("session.ended", {"reason": "issuer", "sessions": 2})


@pytest.mark.parametrize(
    "redirect", ["http://127.0.0.1:{port}/other", "http://localhost:{port}/sign-in/callback", "https://evil.example/sign-in/callback"]
)
async def test_the_provider_leads_back_to_the_callback_alone(
    at_keycloak: tuple[Pages, Pages], identity_server: IdentityServer, redirect: str
) -> None:
    verification, _ = at_keycloak
    async with Browser({verification.origin: verification.url}) as browser:
        away = (await browser.get(f"{verification.origin}/sign-in", follow=False)).headers["location"]
        own = dict(parse_qsl(urlsplit(away).query))["redirect_uri"]
        assert own == f"{verification.origin}/sign-in/callback"
        wrong = redirect.format(port=urlsplit(verification.origin).port)
        answer = await browser.get(away.replace(quote(own, safe=""), quote(wrong, safe="")))
        assert answer.status_code == 400
        assert "kc-form-login" not in answer.text
