"""How strongly somebody signed in: asked for, and refused where the issuer's word (`acr`) does not say it, for pages and for tokens."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from pydantic import ValidationError

from chassis.identity import TokenVerifier, TooWeak
from chassis.settings import ServiceSettings
from local_stack.postgres import PostgresServer
from support.issuer import Issuer
from support.pages_issuer import PagesIssuer
from support.signing_in import pages_of, registered

STRONG, STRONGEST = "urn:example:two-factors", "phrh"
REQUIRED = f"{STRONGEST} {STRONG}"
TOO_WEAK: dict[str, Any] = {
    "not told": None,
    "another": "urn:example:password",
    "empty": "",
    "both at once": REQUIRED,
    "a list": [STRONG],
    "an object": {STRONG: True},
    "a number": 2,
    "in other letters": STRONG.upper(),
}


async def test_pages_ask_for_a_strength_and_refuse_every_other(
    postgres_server: PostgresServer, pages_issuer: PagesIssuer, tmp_path: Path
) -> None:
    settings = registered(pages_issuer) | {"required_acr": REQUIRED}
    async with pages_of("intake", postgres_server, tmp_path, **settings) as pages, pages.browser() as browser:
        away = await browser.get(f"{pages.origin}/sign-in", follow=False)
        assert dict(parse_qsl(urlsplit(away.headers["location"]).query))["acr_values"] == REQUIRED
        for name, acr in TOO_WEAK.items():
            pages_issuer.token_claims = {"acr": acr}
            answer = await browser.get(f"{pages.origin}/sign-in?lang=en")
            assert answer.status_code == 400, name
            assert "A stronger sign-in is needed" in answer.text
            assert pages.cookie_of(browser) is None
            assert (await pages.acts())[-1] == ("nobody", "session.sign_in_failed", {"code": "acr"})
        assert await pages.count() == 0
        for acr in (STRONG, STRONGEST):
            pages_issuer.token_claims = {"acr": acr}
            await pages.signed_in(browser)


async def test_a_renewal_that_tells_of_a_weaker_sign_in_ends_the_session(
    postgres_server: PostgresServer, pages_issuer: PagesIssuer, tmp_path: Path
) -> None:
    settings = registered(pages_issuer) | {"required_acr": STRONG}
    async with pages_of("export", postgres_server, tmp_path, **settings) as pages, pages.browser() as browser:
        pages_issuer.token_claims = {"acr": STRONG}
        await pages.signed_in(browser)
        for claims, status in (({"acr": STRONG}, 200), ({}, 200), ({"acr": "urn:example:password"}, 401)):
            pages_issuer.token_claims = claims
            pages.clock.turn(minutes=5)
            assert (await pages.session(browser)).status_code == status
        assert (await pages.acts())[-1][1:] == ("session.ended", {"reason": "acr"})


async def test_without_the_setting_nothing_is_asked(postgres_server: PostgresServer, pages_issuer: PagesIssuer, tmp_path: Path) -> None:
    async with pages_of("export", postgres_server, tmp_path, **registered(pages_issuer)) as pages, pages.browser() as browser:
        away = await browser.get(f"{pages.origin}/sign-in", follow=False)
        assert "acr_values" not in dict(parse_qsl(urlsplit(away.headers["location"]).query))
        pages_issuer.token_claims = {"acr": "0"}
        await pages.signed_in(browser)


async def test_a_service_refuses_tokens_of_weaker_sign_ins_and_says_what_it_needs(
    postgres_server: PostgresServer, issuer: Issuer, tmp_path: Path
) -> None:
    async with (
        pages_of("intake", postgres_server, tmp_path, issuer=issuer.url, required_acr=REQUIRED, burst_of_failures=1000) as pages,
        httpx.AsyncClient(base_url=pages.url, timeout=30) as client,
    ):
        for name, acr in TOO_WEAK.items():
            for _ in range(2):  # what was refused once is not remembered as good
                token = issuer.token("amina", "/XAA/monitor", acr=acr)
                answer = await client.get("/v1/incidents", headers={"Authorization": f"Bearer {token}"})
                assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_too_weak"), name
                expected = f'Bearer error="insufficient_user_authentication", acr_values="{REQUIRED}"'
                assert answer.headers["www-authenticate"] == expected
        for acr in (STRONG, STRONGEST):
            token = issuer.token("amina", "/XAA/monitor", acr=acr)
            assert (await client.get("/v1/incidents", headers={"Authorization": f"Bearer {token}"})).status_code == 200


async def test_a_token_that_holds_otherwise_is_all_that_is_told_of_its_weakness(issuer: Issuer) -> None:
    verifier = TokenVerifier(issuer.url, "mrm", accepted_acr=(STRONG,))
    with pytest.raises(TooWeak):
        await verifier.verify(issuer.token("amina", "/XAA/monitor"))
    for changes in ({"aud": "other"}, {"exp": 1}, {"iss": "https://evil.example"}):
        with pytest.raises(Exception) as refusal:  # noqa: PT011 - its exact kind is what is looked at
            await verifier.verify(issuer.token("amina", "/XAA/monitor", **changes))
        assert getattr(refusal.value, "code", None) == "unauthenticated"


@pytest.mark.parametrize("value", ['a"b', "a\\b", "é", "a\x7f"])
def test_strengths_that_fit_into_no_header_are_refused(value: str) -> None:
    given: dict[str, Any] = dict.fromkeys(("database_url", "kafka_bootstrap", "kafka_username", "kafka_password", "issuer"), "x")
    given |= {"keys_dir": "/keys", "trust_file": "/trust"}
    assert ServiceSettings(**given, required_acr=" a  b ").accepted_acr == ("a", "b")
    with pytest.raises(ValidationError):
        ServiceSettings(**given, required_acr=value)
