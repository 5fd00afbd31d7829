"""Nothing needs Keycloak. A second issuer, from the package index: RS256, opaque tokens, roles under another claim, no revocation.."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import oidc_provider_mock
import pytest
from pydantic import SecretStr

from local_stack.postgres import PostgresServer
from support.browser import Browser
from support.signing_in import Pages, pages_of

PEOPLE = [
    oidc_provider_mock.User(sub="u-17", claims={"name": "Ofelia Officer", "mrm_roles": ["/XAA/officer", "/XAA/king", "staff"]}),
    oidc_provider_mock.User(sub="u-18", claims={"name": "Nobody Yet"}),
]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The provider's issuer address."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with oidc_provider_mock.run_server_in_thread(user_claims=PEOPLE) as server:
        yield f"http://localhost:{server.server_port}"


async def choose(pages: Pages, browser: Browser, person: str) -> httpx.Response:
    """Go to sign in and choose somebody on the provider's page."""
    await browser.get(f"{pages.origin}/sign-in")
    return await browser.go("POST", browser.url, came_from=browser.url, data={"sub": person})


async def test_in_on_and_out_at_another_issuer(postgres_server: PostgresServer, provider: str, tmp_path: Path) -> None:
    settings = {"issuer": provider, "client_id": "mrm", "client_secret": SecretStr("any secret"), "grants_claim": "mrm_roles"}
    async with pages_of("export", postgres_server, tmp_path, **settings) as pages, pages.browser() as browser, httpx.AsyncClient() as desk:
        answer = await choose(pages, browser, "u-17")
        assert answer.status_code == 200
        assert browser.url == f"{pages.origin}/account"
        told = (await pages.session(browser)).json()
        assert (told["subject"], told["name"]) == ("u-17", "Ofelia Officer")
        assert told["roles"] == [{"situation": "XAA", "role": "officer"}]
        assert (await browser.get(f"{pages.origin}/v1/situations/XAA/snapshots")).status_code in (200, 404)

        changed = {"name": "Ofelia Officer", "mrm_roles": ["/XBB/officer"]}
        assert (await desk.put(f"{provider}/users/u-17", json=changed)).status_code == 204
        pages.clock.turn(minutes=5)
        assert (await pages.session(browser)).json()["roles"] == [{"situation": "XBB", "role": "officer"}]

        assert (await desk.post(f"{provider}/users/u-17/revoke-tokens")).status_code == 204
        pages.clock.turn(minutes=5)
        assert (await pages.session(browser)).status_code == 401

        await choose(pages, browser, "u-18")
        page = await browser.get(f"{pages.origin}/account")
        assert "You have no role" in page.text
        ending = await browser.submit(page, which=1)
        assert ending.headers["refresh"].startswith(f"0; url={provider}/oauth2/end_session?")
        assert await pages.count() == 0


async def test_somebody_declines_at_another_issuer(postgres_server: PostgresServer, provider: str, tmp_path: Path) -> None:
    settings = {"issuer": provider, "client_id": "mrm", "client_secret": SecretStr("any secret")}
    async with pages_of("export", postgres_server, tmp_path, **settings) as pages, pages.browser() as browser:
        await browser.get(f"{pages.origin}/sign-in")
        answer = await browser.go("POST", browser.url, came_from=browser.url, data={"action": "deny"})
        assert answer.status_code == 400
        assert pages.cookie_of(browser) is None
