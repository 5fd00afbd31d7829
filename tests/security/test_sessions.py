"""Signing in for pages, and the life of a session, at issuers unlike Keycloak and unlike each other."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from chassis.http.pages import LANGUAGES, texts_of
from chassis.http.rates import Rate, Rates
from chassis.service import _forgetting_sessions
from chassis.sessions import MAX_SESSIONS
from local_stack.postgres import PostgresServer
from support.browser import forms
from support.pages_issuer import CLIENT, PagesIssuer
from support.signing_in import Pages, pages_of, registered

MANY = Rate(1e6, 10**6)


async def test_somebody_signs_in_and_is_told_who_they_are(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        nobody = await browser.get(f"{pages.origin}/account")
        assert (nobody.status_code, forms(nobody)) == (200, [])
        answer = await pages.signed_in(browser, "/account?lang=en")
        assert browser.url == f"{pages.origin}/account?lang=en"
        assert [form.action for form in forms(answer)] == ["/sign-out?lang=en", "/sign-out/everywhere?lang=en"]
        told = (await pages.session(browser)).json()
        assert told["subject"] == "amina"
        assert told["name"] == pages_issuer.name
        assert told["roles"] == [{"situation": "XAA", "role": "monitor"}]
        assert [one["current"] for one in told["sessions"]] == [True]
        assert set(told) == {"subject", "name", "roles", "csrf", "idle_expires_at", "expires_at", "sessions"}
        assert (await browser.get(f"{pages.origin}/v1/incidents")).status_code == 200


async def test_what_the_database_holds_opens_no_session_and_names_nobody(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        cookie, csrf = pages.cookie_of(browser), (await pages.session(browser)).json()["csrf"]
    (refresh_token,) = pages_issuer.refresh_tokens
    (row,) = await pages.owner.fetch("select * from sessions")
    stored = b"|".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())
    stored += json.dumps(await pages.acts()).encode()
    for word in ("amina", "Amina", "آمنة", "XAA", cookie, csrf, refresh_token):
        assert word is not None
        assert word.encode() not in stored
    assert row["person"].startswith("monitor:")


async def test_cookies_that_open_nothing_are_counted_for_their_address(pages: Pages) -> None:
    pages.app.state.rates = Rates(person=MANY, address=MANY, sign_ins=MANY, failures=Rate(0.001, 5))
    async with httpx.AsyncClient() as client:
        bad = {"Cookie": f"{pages.cookie_name}=guessed"}
        statuses = [(await client.get(f"{pages.url}/v1/session", headers=bad)).status_code for _ in range(8)]
        assert statuses == [401] * 5 + [429] * 3
        assert (await client.get(f"{pages.url}/v1/session")).status_code == 401  # no cookie is no attempt
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        assert (await pages.session(browser)).status_code == 200


async def test_the_page_after_leaving_claims_nothing_of_whoever_only_opens_it(pages: Pages) -> None:
    async with httpx.AsyncClient() as client:
        for language, words in (("en", "If you have just signed out everywhere"), ("ar", "إذا كنت قد سجّلت الخروج من كل مكان للتو")):
            shown = (await client.get(f"{pages.url}/account?done=everywhere&lang={language}")).text
            assert words in shown
            assert "You are signed out everywhere" not in shown


async def test_no_token_of_the_issuer_reaches_the_browser(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        away = await browser.get(f"{pages.origin}/sign-in", follow=False)
        back = await browser.get(away.headers["location"], follow=False)
        seen = [await browser.get(back.headers["location"], follow=False)]
        seen += [await browser.get(f"{pages.origin}{path}") for path in ("/account", "/v1/session", "/v1/incidents")]
        pages.clock.turn(minutes=5)
        seen.append(await pages.session(browser))
        page = await browser.get(f"{pages.origin}/account")
        tokens = [*pages_issuer.refresh_tokens, *pages_issuer.access_tokens]
        seen += [page, await browser.submit(page, which=1)]
        assert len(tokens) == 3
    shown = "".join(answer.text + str(answer.headers) for answer in seen)
    assert not any(token in shown for token in tokens)


async def test_the_record_says_what_happened_and_to_whom(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser, pages.browser() as other:
        await pages.signed_in(browser)
        await pages.signed_in(other)
        await browser.submit(await browser.get(f"{pages.origin}/account"))
        await pages.signed_in(browser)
        await browser.submit(await browser.get(f"{pages.origin}/account"), which=1, follow=False)
        pages_issuer.answer = {"error": "access_denied", "code": None}
        assert (await browser.get(f"{pages.origin}/sign-in")).status_code == 400
    acts = await pages.acts()
    person = {actor for actor, _, _ in acts if actor != "nobody"}
    assert len(person) == 1
    assert [(action, detail) for _, action, detail in acts] == [
        ("session.sign_in", {}),
        ("session.sign_in", {}),
        ("session.sign_out", {}),
        ("session.sign_in", {}),
        ("session.sign_out_everywhere", {"sessions": 2}),
        ("session.sign_in_failed", {"code": "cancelled"}),
    ]


@pytest.mark.parametrize("after", [{"minutes": 29}, {"minutes": 31}], ids=["used in time", "not used"])
async def test_a_session_nobody_uses_ends(pages: Pages, after: dict[str, float]) -> None:
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        pages.clock.turn(**after)
        lives = after["minutes"] < 30
        assert (await pages.session(browser)).status_code == (200 if lives else 401)
        pages.clock.turn(minutes=29)
        assert (await pages.session(browser)).status_code == (200 if lives else 401)
        assert (await browser.get(f"{pages.origin}/v1/incidents")).status_code == (200 if lives else 401)
        assert len(forms(await browser.get(f"{pages.origin}/account"))) == (2 if lives else 0)


async def test_a_session_ends_though_it_is_used(pages: Pages) -> None:
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        for _ in range(23):
            pages.clock.turn(minutes=20)
            assert (await pages.session(browser)).status_code == 200
        pages.clock.turn(minutes=19)
        told = (await pages.session(browser)).json()
        assert told["idle_expires_at"] == told["expires_at"]
        pages.clock.turn(minutes=2)
        assert (await pages.session(browser)).status_code == 401


async def test_roles_are_asked_for_anew_every_five_minutes(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        pages_issuer.groups = ["/XBB/monitor", "/XBB/king"]
        pages.clock.turn(minutes=4, seconds=50)
        assert (await pages.session(browser)).json()["roles"] == [{"situation": "XAA", "role": "monitor"}]
        pages.clock.turn(seconds=10)
        exchanges = pages_issuer.asked.count("/o/exchange")
        for _ in range(3):
            assert (await pages.session(browser)).json()["roles"] == [{"situation": "XBB", "role": "monitor"}]
        assert pages_issuer.asked.count("/o/exchange") == exchanges + 1
        pages.clock.turn(minutes=5)
        pages_issuer.refresh_gives_id_token = False
        pages_issuer.groups = []
        assert (await pages.session(browser)).json()["roles"] == []


async def test_a_person_the_issuer_no_longer_vouches_for_is_out(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        pages_issuer.refresh_tokens.clear()
        pages.clock.turn(minutes=5)
        assert (await browser.get(f"{pages.origin}/v1/incidents")).status_code == 401
        assert await pages.count() == 0
        assert (await pages.acts())[-1][1:] == ("session.ended", {"reason": "issuer_refused"})


async def test_another_person_in_a_renewal_ends_the_session(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        pages_issuer.person = "bahar"
        pages.clock.turn(minutes=5)
        assert (await pages.session(browser)).status_code == 401
        assert (await pages.acts())[-1][1:] == ("session.ended", {"reason": "subject"})


@pytest.mark.parametrize("how", ["gone", "failing", "busy"])
async def test_while_the_issuer_is_away_known_sessions_go_on_and_new_ones_get_a_clear_answer(
    pages: Pages, pages_issuer: PagesIssuer, how: str
) -> None:
    async with pages.browser() as browser, pages.browser() as newcomer:
        await pages.signed_in(browser)
        if how == "gone":
            pages_issuer.stop()
        else:
            pages_issuer.status = 500 if how == "failing" else 429
        for _ in range(24):
            pages.clock.turn(minutes=18)
            assert (await pages.session(browser)).status_code == 200
        assert (await browser.get(f"{pages.origin}/v1/incidents")).status_code == 200
        pages.sessions.relying_party._metadata_at = 0
        answer = await newcomer.get(f"{pages.origin}/sign-in?next=/account", follow=how != "gone")
        if how == "gone":
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert "does not answer" in answer.text
            assert pages.cookie_of(newcomer) is None
            pages_issuer.start()
            pages.sessions.relying_party._away_at = 0
        pages_issuer.status = None
        await pages.signed_in(newcomer)
        pages.clock.turn(minutes=18)
        assert (await pages.session(browser)).status_code == 200
        pages.clock.turn(minutes=31)
        assert (await pages.session(browser)).status_code == 401


async def test_the_issuer_goes_away_between_leaving_and_coming_back(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        away = await browser.get(f"{pages.origin}/sign-in", follow=False)
        back = await browser.get(away.headers["location"], follow=False)
        pages_issuer.stop()
        answer = await browser.get(back.headers["location"])
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert await pages.count() == 0


async def test_the_issuer_turns_its_key(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser, pages.browser() as newcomer:
        await pages.signed_in(browser)
        pages_issuer.rotate_keys()
        pages.sessions.relying_party._tokens._keys._tried_at = float("-inf")
        await pages.signed_in(newcomer)
        pages.clock.turn(minutes=5)
        assert (await pages.session(browser)).status_code == 200


@pytest.mark.parametrize(("skew", "status"), [(25, 200), (-320, 200), (60, 400), (-400, 400)])
async def test_the_issuers_clock_may_differ_a_little(pages: Pages, pages_issuer: PagesIssuer, skew: int, status: int) -> None:
    pages_issuer.skew = skew
    async with pages.browser() as browser:
        assert (await browser.get(f"{pages.origin}/sign-in")).status_code == status
        assert await pages.count() == (1 if status == 200 else 0)


@pytest.mark.parametrize("claims_in", [{"userinfo"}, {"id_token"}], ids=str)
@pytest.mark.parametrize("rotates", [True, False], ids=["refresh tokens turn", "refresh tokens stay"])
async def test_roles_may_come_in_either_place_and_refresh_tokens_may_stay(
    pages: Pages, pages_issuer: PagesIssuer, claims_in: set[str], rotates: bool
) -> None:
    pages_issuer.claims_in, pages_issuer.rotates = claims_in, rotates
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        for _ in range(3):
            told = (await pages.session(browser)).json()
            assert told["roles"] == [{"situation": "XAA", "role": "monitor"}]
            assert told["name"] == pages_issuer.name
            pages.clock.turn(minutes=6)


async def test_without_a_refresh_token_a_session_lasts_as_long_as_the_issuers_word(pages: Pages, pages_issuer: PagesIssuer) -> None:
    pages_issuer.gives_refresh_token = False
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        pages.clock.turn(seconds=110)
        assert (await pages.session(browser)).status_code == 200
        pages.clock.turn(seconds=11)
        assert (await pages.session(browser)).status_code == 401


@pytest.mark.parametrize("methods", [None, ["client_secret_post"], "public"], ids=str)
async def test_every_way_a_client_proves_itself(
    postgres_server: PostgresServer, pages_issuer: PagesIssuer, tmp_path: Path, methods: Any
) -> None:
    if methods == "public":
        pages_issuer.secret = None
    elif methods is not None:
        pages_issuer.metadata["token_endpoint_auth_methods_supported"] = methods
    async with (
        pages_of("export", postgres_server, tmp_path, **registered(pages_issuer)) as pages,
        pages.browser() as browser,
    ):
        await pages.signed_in(browser)
        sent = pages_issuer.bodies[-1]
        assert ("client_secret" in sent) == (methods == ["client_secret_post"])
        assert sent["code_verifier"]
        assert len(sent["code_verifier"]) >= 43


async def test_a_wrong_client_secret_signs_nobody_in(postgres_server: PostgresServer, pages_issuer: PagesIssuer, tmp_path: Path) -> None:
    wrong = registered(pages_issuer) | {"client_secret": SecretStr("another")}
    async with pages_of("export", postgres_server, tmp_path, **wrong) as pages, pages.browser() as browser:
        assert (await browser.get(f"{pages.origin}/sign-in")).status_code == 400
        assert await pages.count() == 0


async def test_out_here_leaves_the_other_browser_in(pages: Pages) -> None:
    async with pages.browser() as browser, pages.browser() as other:
        await pages.signed_in(browser)
        await pages.signed_in(other)
        answer = await browser.submit(await browser.get(f"{pages.origin}/account"))
        assert "You are signed out" in answer.text
        assert pages.cookie_of(browser) is None
        assert (await pages.session(other)).status_code == 200
        assert len((await pages.session(other)).json()["sessions"]) == 1


async def test_out_everywhere_ends_all_here_and_tells_the_issuer(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser, pages.browser() as other:
        await pages.signed_in(browser)
        await pages.signed_in(other)
        answer = await browser.submit(await browser.get(f"{pages.origin}/account?lang=ar"), which=1)
        assert answer.status_code == 200
        assert 'lang="ar" dir="rtl"' in answer.text
        assert (await pages.session(other)).status_code == 401
        assert await pages.count() == 0
        assert len(pages_issuer.refresh_tokens) == 1  # the other browser's, which only its cookie could open
        away = answer.headers["refresh"].removeprefix("0; url=")
        assert away.startswith(f"{pages_issuer.url}/o/leave?tenant=7&")
        back = await browser.get(away)
        assert "signed out everywhere" in back.text
        assert pages_issuer.bodies[-1]["client_id"] == CLIENT


@pytest.mark.parametrize("how", ["away", "offers nothing"])
async def test_out_everywhere_says_when_the_issuer_could_not_be_told(pages: Pages, pages_issuer: PagesIssuer, how: str) -> None:
    pages_issuer.metadata = {"end_session_endpoint": None, "revocation_endpoint": None} if how != "away" else {}
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        page = await browser.get(f"{pages.origin}/account")
        if how == "away":
            pages_issuer.stop()
            pages.sessions.relying_party._metadata_at = 0
        answer = await browser.submit(page, which=1)
        assert "could not be told" in answer.text
        assert await pages.count() == 0
        assert pages.cookie_of(browser) is None


async def test_a_person_has_a_limited_number_of_sessions(pages: Pages) -> None:
    async with pages.browser() as first, pages.browser() as browser:
        await pages.signed_in(first)
        for _ in range(MAX_SESSIONS):
            pages.clock.turn(seconds=1)
            browser.cookies.clear()
            await pages.signed_in(browser)
        assert await pages.count() == MAX_SESSIONS
        assert (await pages.session(first)).status_code == 401
        assert (await pages.session(browser)).status_code == 200


async def test_sessions_whose_time_is_over_are_forgotten(pages: Pages) -> None:
    async with pages.browser() as browser, pages.browser() as other:
        await pages.signed_in(browser)
        await pages.signed_in(other)
        await pages.owner.execute("set mrm.action = 'system'")
        await pages.owner.execute(
            "update sessions set started_at = now() - interval '9 hours', idle_expires_at = now(), expires_at = now() "
            "where started_at = (select min(started_at) from sessions)"
        )
        await _forgetting_sessions(pages.service).run()
        assert await pages.count() == 1
        assert (await pages.session(other)).status_code == 200


async def test_the_role_of_the_service_can_neither_move_a_session_nor_prolong_it(pages: Pages) -> None:
    async with pages.browser() as browser:
        await pages.signed_in(browser)
    rights = await pages.owner.fetch(
        "select privilege_type, column_name from information_schema.column_privileges "
        "where table_name = 'sessions' and grantee = 'intake_app'"
    )
    assert {row["column_name"] for row in rights if row["privilege_type"] == "UPDATE"} == {
        "contents",
        "seen_at",
        "refresh_at",
        "idle_expires_at",
    }


async def test_pages_hold_what_they_promise(pages: Pages) -> None:
    async with pages.browser() as browser:
        answer = await pages.signed_in(browser)
        policy = answer.headers["content-security-policy"]
        assert "script-src" not in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
        for attribute in ("<script", "style=", "javascript:", " onclick", "http://", "https://"):
            assert attribute not in answer.text
        assert "&lt;b&gt;" in answer.text
        assert "<b>" not in answer.text
        style = await browser.get(f"{pages.origin}/pages.css")
        assert style.headers["content-type"].startswith("text/css")
        arabic = await browser.get(f"{pages.origin}/account", headers={"Accept-Language": "ar-SD,en;q=0.3"})
        assert '<html lang="ar" dir="rtl">' in arabic.text


def test_every_language_has_every_text() -> None:
    texts = {language: texts_of(language) for language in LANGUAGES}
    assert set(texts["ar"]) == set(texts["en"])
    assert all(text.strip() for catalogue in texts.values() for text in catalogue.values())
    assert all(any("\u0600" <= letter <= "\u06ff" for letter in text) for text in texts["ar"].values())
