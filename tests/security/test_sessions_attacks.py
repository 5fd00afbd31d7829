"""Attacks on signing in and on sessions: every one is refused, and the session it aimed at is as it was."""

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from chassis.sign_in_attempt import HOME, LASTS_SECONDS, Attempt, local_path
from support.browser import Browser, forms
from support.issuer import segment
from support.pages_issuer import CLIENT, PagesIssuer
from support.signing_in import Pages

ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "////evil.example",
    "/\\evil.example/",
    "\\\\evil.example/",
    "\\/evil.example/",
    "/\t/evil.example/",
    "/\n/evil.example/",
    "/\r\nLocation: https://evil.example/",
    "\t//evil.example/",
    " //evil.example/",
    "/ /evil.example",
    "/a\\..\\\\evil.example",
    "http:evil.example",
    "https:/evil.example",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "evil.example",
    "@evil.example",
    "?next=//evil.example",
    "#//evil.example",
    "/\x00//evil.example",
    "/\x7f",
    "/é",
    "/\u2028//evil.example",
    "／／evil.example",
    "/" + "a" * 2000,
    "",
]


@pytest.mark.parametrize("goal", ELSEWHERE, ids=ascii)
def test_nothing_but_a_path_of_ours_is_gone_on_to(goal: str) -> None:
    assert local_path(goal) == HOME


@pytest.mark.parametrize(
    "goal", ["/", "/account", "/v1/incidents?situation=XAA&limit=5#top", "/%2f%2fevil.example", "/a//b", "/@evil.example", "/a:b"]
)
def test_a_path_of_ours_is_gone_on_to(goal: str) -> None:
    assert local_path(goal) == goal


async def test_signing_in_leads_to_our_origin_whatever_is_asked(pages: Pages) -> None:
    for goal in [*ELSEWHERE, "/.//evil.example", "/..//evil.example", "/%5cevil.example", "/@evil.example"]:
        async with pages.browser() as browser:
            away = await browser.get(f"{pages.origin}/sign-in?{urlencode({'next': goal[:1500]})}", follow=False)
            back = await browser.get(away.headers["location"], follow=False)
            landed = await browser.get(back.headers["location"], follow=False)
            assert landed.status_code == 303
            where = landed.headers["location"]
            assert where == f"{pages.origin}{local_path(goal)}"
            assert (httpx.URL(where).host, httpx.URL(pages.origin).join(where).host) == ("intake.test", "intake.test")
            assert "evil" not in "".join(landed.headers.get_list("set-cookie"))


async def test_next_given_twice_or_in_a_stolen_cookie_leads_nowhere_else(pages: Pages, pages_issuer: PagesIssuer) -> None:
    attempt = Attempt(b"\1" * 32, int(pages.clock().timestamp()), "/account")
    evil = base64.urlsafe_b64encode(b"//evil.example/").rstrip(b"=").decode()
    secret, started, _ = attempt.cookie.split(".")
    forged = Attempt.read(f"{secret}.{started}.{evil}", now=attempt.started_at)
    assert forged is not None
    assert forged.goal == HOME
    moved = Attempt(attempt.secret, attempt.started_at, "/elsewhere")
    assert len({attempt.state, moved.state, attempt.nonce, moved.nonce, attempt.verifier, moved.verifier}) == 6


async def leave(pages: Pages, browser: Browser) -> str:
    """Leave for the issuer and stand before the callback; returns its address."""
    away = await browser.get(f"{pages.origin}/sign-in", follow=False)
    back = await browser.get(away.headers["location"], follow=False)
    return str(back.headers["location"])


async def refused(pages: Pages, browser: Browser, callback: str, code: str) -> None:
    """Bring an answer that must sign nobody in."""
    answer = await browser.get(callback, follow=False)
    assert answer.status_code == 400, answer.headers
    assert "text/html" in answer.headers["content-type"]
    assert pages.cookie_of(browser) is None
    assert await pages.count() == 0
    assert (await pages.acts())[-1] == ("nobody", "session.sign_in_failed", {"code": code})


async def test_an_answer_in_a_browser_that_did_not_ask(pages: Pages) -> None:
    async with pages.browser() as attacker, pages.browser() as victim:
        callback = await leave(pages, attacker)
        await refused(pages, victim, callback, "no_attempt")
        await leave(pages, victim)
        await refused(pages, victim, callback, "state")


async def test_a_stolen_code_under_the_thiefs_own_state(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as attacker, pages.browser() as victim:
        stolen = dict(parse_qsl(urlsplit(await leave(pages, victim)).query))["code"]
        own = dict(parse_qsl(urlsplit(await leave(pages, attacker)).query))
        await refused(pages, attacker, f"{pages.origin}/sign-in/callback?{urlencode({**own, 'code': stolen})}", "issuer_refused")


async def test_the_same_answer_twice(pages: Pages) -> None:
    async with pages.browser() as browser:
        callback = await leave(pages, browser)
        kept = dict(browser.cookies)
        assert (await browser.get(callback)).status_code == 200
        before = pages.cookie_of(browser)
        assert (await browser.get(callback, follow=False)).status_code == 400
        browser.cookies |= kept
        assert (await browser.get(callback, follow=False)).status_code == 400
        assert pages.cookie_of(browser) == before
        assert (await pages.session(browser)).status_code == 200
        assert await pages.count() == 1


async def test_an_answer_that_comes_too_late(pages: Pages) -> None:
    async with pages.browser() as browser:
        callback = await leave(pages, browser)
        pages.clock.turn(seconds=LASTS_SECONDS)
        await refused(pages, browser, callback, "no_attempt")


ANSWERS: dict[str, tuple[dict[str, str | None], str]] = {
    "another issuer": ({"iss": "https://evil.example"}, "issuer"),
    "the issuer with a slash": ({"iss": "http://127.0.0.1/"}, "issuer"),
    "no state": ({"state": None}, "state"),
    "another state": ({"state": "A" * 43}, "state"),
    "no code": ({"code": None}, "code"),
    "empty code": ({"code": ""}, "code"),
    "endless code": ({"code": "c" * 4000}, "issuer_refused"),
    "made-up code": ({"code": "guess"}, "issuer_refused"),
    "code and error": ({"error": "server_error"}, "issuer_error"),
    "cancelled": ({"error": "access_denied", "code": None}, "cancelled"),
}


@pytest.mark.parametrize(("answer", "code"), ANSWERS.values(), ids=ANSWERS)
async def test_answers_that_do_not_fit(pages: Pages, pages_issuer: PagesIssuer, answer: dict[str, str | None], code: str) -> None:
    pages_issuer.answer = answer
    async with pages.browser() as browser:
        await refused(pages, browser, await leave(pages, browser), code)


@pytest.mark.parametrize("name", ["state", "code", "iss", "error"])
async def test_a_parameter_that_comes_twice(pages: Pages, name: str) -> None:
    async with pages.browser() as browser:
        callback = await leave(pages, browser)
        await refused(pages, browser, f"{callback}&{name}=x&{name}=x", "twice")


async def test_an_issuer_that_announces_its_name_must_give_it(pages: Pages, pages_issuer: PagesIssuer) -> None:
    pages_issuer.metadata["authorization_response_iss_parameter_supported"] = True
    async with pages.browser() as browser:
        await refused(pages, browser, await leave(pages, browser), "issuer")
        pages_issuer.answer = {"iss": pages_issuer.url}
        await pages.signed_in(browser)


TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "nonce of another sign-in": ({"nonce": "A" * 43}, "nonce"),
    "no nonce": ({"nonce": None}, "nonce"),
    "nonce as a list": ({"nonce": []}, "nonce"),
    "for another client": ({"aud": "other"}, "id_token"),
    "for several clients": ({"aud": [CLIENT, "other"]}, "id_token"),
    "for several, given to another": ({"aud": [CLIENT, "other"], "azp": "other"}, "id_token"),
    "given to another": ({"azp": "other"}, "id_token"),
    "of another issuer": ({"iss": "https://evil.example"}, "id_token"),
    "expired": ({"exp": 1}, "id_token"),
    "from the future": ({"iat": 9_999_999_999, "exp": 10_000_000_000}, "id_token"),
    "without a person": ({"sub": None}, "subject"),
    "of another than the issuer tells of": ({"sub": "bahar", "name": None}, "subject"),
    "roles as a text": ({"https://people.example/teams": "/XAA/monitor"}, "claims"),
    "person with a line break": ({"sub": "a\nb"}, "claims"),
}


@pytest.mark.parametrize(("claims", "code"), TOKENS.values(), ids=TOKENS)
async def test_identity_tokens_that_do_not_hold(pages: Pages, pages_issuer: PagesIssuer, claims: dict[str, Any], code: str) -> None:
    pages_issuer.token_claims = claims
    if code == "subject":
        pages_issuer.claims_in = {"userinfo"}
    async with pages.browser() as browser:
        await refused(pages, browser, await leave(pages, browser), code)


@pytest.mark.parametrize("kind", ["none", "stripped", "another key", "shared secret", "no token", "an access token's type"])
async def test_identity_tokens_that_nobody_signed(
    pages: Pages, pages_issuer: PagesIssuer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = pages_issuer.id_token

    def bent(nonce: str | None, **changes: Any) -> Any:
        head, claims, signature = sound(nonce, **changes).split(".")
        match kind:
            case "none":
                return f"{segment({'alg': 'none'})}.{claims}."
            case "stripped":
                return f"{head}.{claims}."
            case "another key":
                return f"{head}.{claims}.{base64.urlsafe_b64encode(b'x' * 256).rstrip(b'=').decode()}"
            case "shared secret":
                return (
                    f"{segment({'alg': 'HS256'})}.{claims}.{base64.urlsafe_b64encode(hashlib.sha256(b'x').digest()).rstrip(b'=').decode()}"
                )
            case "no token":
                return None
            case _:
                return f"{segment({'alg': 'RS256', 'typ': 'at+jwt', 'kid': pages_issuer.key.kid})}.{claims}.{signature}"

    monkeypatch.setattr(pages_issuer, "id_token", bent)
    async with pages.browser() as browser:
        await refused(pages, browser, await leave(pages, browser), "id_token")


async def test_the_question_holds_a_challenge_whose_secret_never_leaves(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        away = await browser.get(f"{pages.origin}/sign-in", follow=False)
        asked = dict(parse_qsl(urlsplit(away.headers["location"]).query))
        cookie = browser.cookie(pages.origin, f"{pages.cookie_name}-sign-in")
        assert cookie is not None
        attempt = Attempt.read(cookie, now=pages.clock().timestamp())
        assert attempt is not None
        assert asked["code_challenge"] == base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode()
        assert attempt.verifier not in away.headers["location"]
        assert cookie.split(".")[0] not in away.headers["location"]
        assert asked["redirect_uri"] == f"{pages.origin}/sign-in/callback"
        bare = {name: value for name, value in asked.items() if not name.startswith("code_challenge")}
        without = await browser.get(f"{pages_issuer.url}/o/start?{urlencode(bare)}", follow=False)
        assert without.status_code == 400


async def test_cookies_are_for_this_host_over_tls_unseen_by_scripts(pages: Pages) -> None:
    async with pages.browser() as browser:
        away = await browser.get(f"{pages.origin}/sign-in", follow=False)
        back = await browser.get(away.headers["location"], follow=False)
        landed = await browser.get(back.headers["location"], follow=False)
        lines = [*away.headers.get_list("set-cookie"), *landed.headers.get_list("set-cookie")]
        assert [line.partition("=")[0] for line in lines] == [
            "__Host-mrm-intake-sign-in",
            "__Host-mrm-intake",
            "__Host-mrm-intake-sign-in",
        ]
        for line in lines:
            attributes = {part.strip().lower() for part in line.split(";")[1:]}
            assert {"httponly", "secure", "path=/", "samesite=lax"} <= attributes
            assert not any(attribute.startswith("domain") for attribute in attributes)
        assert "max-age" not in lines[1].lower()


async def test_a_planted_session_is_not_taken_over(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as attacker, pages.browser() as victim:
        pages_issuer.person = "mallory"
        await pages.signed_in(attacker)
        planted = pages.cookie_of(attacker)
        assert planted is not None
        host = urlsplit(pages.origin).hostname or ""
        for value in (planted, "A" * 43, "x"):
            victim.cookies[host, pages.cookie_name] = value
            pages_issuer.person = "amina"
            await pages.signed_in(victim)
            assert pages.cookie_of(victim) != value
            assert (await pages.session(victim)).json()["subject"] == "amina"
        assert (await pages.session(attacker)).status_code == 401


async def test_a_cookie_kept_from_before_is_worth_nothing_after_signing_out(pages: Pages) -> None:
    for which in (0, 1):
        async with pages.browser() as browser:
            await pages.signed_in(browser)
            kept = dict(browser.cookies)
            await browser.submit(await browser.get(f"{pages.origin}/account"), which=which)
            browser.cookies = kept
            assert (await pages.session(browser)).status_code == 401
            assert (await browser.get(f"{pages.origin}/v1/incidents")).status_code == 401
            assert forms(await browser.get(f"{pages.origin}/account")) == []


async def test_a_cookie_of_before_a_new_sign_in_is_worth_nothing(pages: Pages) -> None:
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        old = dict(browser.cookies)
        await pages.signed_in(browser)
        assert await pages.count() == 1
        browser.cookies = old
        assert (await pages.session(browser)).status_code == 401


@pytest.mark.parametrize(
    "value", ["", "x", "A" * 42, "A" * 44, "A" * 43, "A" * 42 + "B", "é" * 43, "'" * 43, "A" * 3000, "..%2f", '"' + "A" * 43 + '"']
)
async def test_cookies_that_are_none_of_ours(pages: Pages, value: str) -> None:
    async with httpx.AsyncClient(base_url=pages.url) as client:
        for path in ("/v1/session", "/v1/incidents"):
            header = {"Cookie": f"{pages.cookie_name}={value}".encode()}
            answer = await client.get(path, headers=header)
            assert answer.status_code == 401
            assert answer.json()["code"] == "unauthenticated"


async def test_a_session_and_a_token_at_once_are_refused(pages: Pages) -> None:
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        for token in ("Bearer a.b.c", "Basic YTpi", "x"):
            answer = await browser.get(f"{pages.origin}/v1/incidents", headers={"Authorization": token})
            assert (answer.status_code, answer.json()["code"]) == (400, "two_credentials")
        cookie = f"{pages.cookie_name}={pages.cookie_of(browser)}"
        async with httpx.AsyncClient() as client:
            twice = await client.get(f"{pages.url}/v1/incidents", headers={"Cookie": f"{cookie}; {cookie}"})
        assert twice.status_code == 401


async def test_contents_moved_to_another_row_open_nothing(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as amina, pages.browser() as operator:
        await pages.signed_in(amina)
        pages_issuer.person, pages_issuer.groups = "omar", ["/_all/operator"]
        await pages.signed_in(operator)
        await pages.owner.execute("set mrm.action = 'system'")
        moved = await pages.owner.execute(
            "update sessions set contents = (select contents from sessions order by started_at desc limit 1) "
            "where started_at = (select min(started_at) from sessions)"
        )
        assert moved == "UPDATE 1"
        assert (await pages.session(amina)).status_code == 401
        assert (await pages.session(operator)).json()["subject"] == "omar"
