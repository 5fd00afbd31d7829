"""The whole way through the real identity provider, over HTTP as a browser goes it: in, on, everywhere out."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from local_stack.identity import IdentityServer
from local_stack.people import password_of
from local_stack.ports import free_ports
from local_stack.postgres import PostgresServer
from support.browser import Browser, forms
from support.signing_in import Pages, pages_of


@pytest.fixture
async def at_keycloak(
    identity_server: IdentityServer, postgres_server: PostgresServer, tmp_path: Path
) -> AsyncIterator[tuple[Pages, Pages]]:
    """Verification and export on loopback, as the local stack serves them, and a situation with the local people's roles in it."""
    with identity_server.directory() as directory:
        directory.grant_situation("XSE-2024")
    origins = [f"http://127.0.0.1:{port}" for port in free_ports(2)]
    settings = {"issuer": identity_server.issuer}
    async with (
        pages_of("verification", postgres_server, tmp_path / "v", origin=origins[0], **settings) as first,
        pages_of("export", postgres_server, tmp_path / "e", origin=origins[1], **settings) as second,
    ):
        yield first, second
    with identity_server.directory() as directory:
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


async def test_in_on_and_everywhere_out(at_keycloak: tuple[Pages, Pages], identity_server: IdentityServer) -> None:
    verification, export = at_keycloak
    async with Browser() as browser, Browser() as elsewhere:
        await log_in(verification, browser, identity_server, "cochair_un")
        told = (await verification.session(browser)).json()
        assert told["name"] == "Ulla Cochair"
        assert told["roles"] == [{"situation": "XSE-2024", "role": "cochair_un"}]
        assert (await browser.get(f"{verification.origin}/v1/situations")).status_code == 200

        before = len(browser.visited)
        await log_in(export, browser, identity_server, "cochair_un")
        assert not any("login-actions" in url for url in browser.visited[before:])  # the provider still knew the browser
        await log_in(verification, elsewhere, identity_server, "cochair_un")

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

        assert (await export.session(browser)).status_code == 200  # known for five minutes at most
        export.clock.turn(minutes=5)
        assert (await export.session(browser)).status_code == 401
        assert await export.count() == 0
        answer = await browser.get(f"{verification.origin}/sign-in")
        assert "kc-form-login" in answer.text  # the provider asks for the password again


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
