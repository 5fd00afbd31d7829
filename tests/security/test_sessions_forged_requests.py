"""Requests that another site makes in a signed-in person's browser, or with another service's cookie: nothing obeys them."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from chassis.http.access import is_open
from chassis.http.openapi import routes_of
from chassis.http.sessions import FORM, SAFE_METHODS
from chassis.http.signed_out import BY_ISSUER
from chassis.identity import ISSUED_ROLES, Principal
from chassis.relying_party import SignedIn
from local_stack.postgres import PostgresServer
from support.apps import SERVICES
from support.browser import forms
from support.pages_issuer import PagesIssuer
from support.signing_in import Pages, pages_of, registered

EVERYBODY = Principal("everybody", "Everybody", frozenset({("XAA", role) for role in ISSUED_ROLES - {"operator"}} | {("_all", "operator")}))


async def open_session(app: FastAPI) -> tuple[str, str]:
    """Begin a session of somebody who holds every role; returns its cookie and its CSRF token."""
    session = await app.state.sessions.open(SignedIn(EVERYBODY, "refresh", None, 300.0))
    return session.secret.cookie, session.secret.csrf


@pytest.fixture(params=SERVICES)
async def any_service(
    request: pytest.FixtureRequest, postgres_server: PostgresServer, pages_issuer: PagesIssuer, tmp_path: Path
) -> AsyncIterator[Pages]:
    settings = registered(pages_issuer) | {
        "rate_per_person": 1e6,
        "burst_per_person": 10**6,
        "rate_per_address": 1e6,
        "burst_per_address": 10**6,
    }
    async with pages_of(request.param, postgres_server, tmp_path, **settings) as made:
        yield made


def unsafe_routes(app: FastAPI) -> list[tuple[str, str, bool]]:
    """Every route that changes anything: method, an address of it, and whether it is one of the ways out."""
    found = []
    for context, route in routes_of(app):
        path = re.sub(r"\{(\w+)[^}]*\}", lambda name: "XAA" if name[1] == "situation" else str(uuid4()), context.path or "")
        found += [(method, path, is_open(route.dependant)) for method in sorted((route.methods or set()) - SAFE_METHODS)]
    return found


async def test_no_unsafe_route_of_any_service_obeys_another_site(any_service: Pages) -> None:
    app, origin = any_service.app, any_service.origin
    cookie, csrf = await open_session(app)
    _, foreign_csrf = await open_session(app)
    routes = [route for route in unsafe_routes(app) if route[1] != BY_ISSUER]
    assert {path for _, path, way_out in routes if way_out} == {"/sign-out", "/sign-out/everywhere"}
    assert len(routes) == len(unsafe_routes(app)) - 1
    good = {"Origin": origin, "Sec-Fetch-Site": "same-origin", "X-CSRF-Token": csrf}
    bad: dict[str, dict[str, str]] = {
        "nothing": {},
        "no token": {"X-CSRF-Token": ""},
        "token of another session": {"X-CSRF-Token": foreign_csrf},
        "nearly the token": {"X-CSRF-Token": csrf[:-1] + ("A" if csrf[-1] != "A" else "B")},
        "another origin": {"Origin": "https://evil.example"},
        "origin null": {"Origin": "null"},
        "a longer origin": {"Origin": f"{origin}.evil.example"},
        "without TLS": {"Origin": origin.replace("https", "http")},
        "another port": {"Origin": f"{origin}:8443"},
        "another site": {"Sec-Fetch-Site": "cross-site"},
        "the same site, another host": {"Sec-Fetch-Site": "same-site"},
        "typed, not sent": {"Sec-Fetch-Site": "none"},
        "neither origin nor site": {"Origin": "", "Sec-Fetch-Site": ""},
    }
    count = 0
    async with httpx.AsyncClient(base_url=any_service.url, timeout=30) as client:
        for method, path, way_out in routes:
            for name, changes in bad.items():
                headers = {} if name == "nothing" else {key: value for key, value in {**good, **changes}.items() if value}
                headers |= {"Cookie": f"{any_service.cookie_name}={cookie}", "Content-Type": "application/json"}
                answer = await client.request(method, path, headers=headers, content=b"{}")
                assert (answer.status_code, answer.json()["code"]) == (403, "csrf"), (method, path, name)
                count += 1
            form = await client.request(
                method,
                path,
                headers={"Cookie": f"{any_service.cookie_name}={cookie}", "Origin": origin, "Content-Type": "text/plain"},
                content=f"csrf={csrf}",
            )
            assert form.json()["code"] == "csrf"
            recorded = await any_service.owner.fetch(
                "select actor, detail from audit_entries where action = 'access.denied' and detail->>'route' ^@ $1", f"{method} "
            )
            forged = [row for row in recorded if json.loads(row["detail"]).get("code") == "csrf"]
            assert len(forged) == sum(len(bad) + 1 for each, _, _ in routes[: routes.index((method, path, way_out)) + 1] if each == method)
            assert {row["actor"] for row in forged} == {any_service.app.state.actor_of(EVERYBODY)}
            if not way_out:
                answer = await client.request(method, path, headers={**good, "Cookie": f"{any_service.cookie_name}={cookie}"})
                assert answer.status_code not in (401, 500), (method, path, answer.text)
                assert answer.json().get("code") != "csrf", (method, path)
        # the one unsafe route at which neither cookie nor origin counts: whatever a browser sends there, it has no token of the issuer
        for headers in ({}, good, {**good, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}):
            for content in (f"csrf={csrf}", f"csrf={csrf}&logout_token={cookie}", ""):
                sent = {**headers, "Cookie": f"{any_service.cookie_name}={cookie}", "Content-Type": FORM}
                answer = await client.post(BY_ISSUER, headers=sent, content=content)
                assert (answer.status_code, answer.json()["code"]) == (400, "logout_token")
                count += 1
        assert await any_service.count() == 2
        for path in ("/sign-out", "/sign-out/everywhere"):
            left = await client.post(path, headers={**good, "Cookie": f"{any_service.cookie_name}={cookie}"})
            assert left.status_code == (303 if path == "/sign-out" else left.status_code)
            cookie, csrf = await open_session(app)
            good["X-CSRF-Token"] = csrf
    print(f"{any_service.service.name}: {len(routes)} unsafe routes, {count} forged requests refused")


async def test_a_session_is_of_one_service_alone(postgres_server: PostgresServer, pages_issuer: PagesIssuer, tmp_path: Path) -> None:
    settings = registered(pages_issuer)
    async with (
        pages_of("verification", postgres_server, tmp_path / "v", **settings) as verification,
        pages_of("export", postgres_server, tmp_path / "e", **settings) as export,
        httpx.AsyncClient() as client,
    ):
        cookie, _ = await open_session(verification.app)
        own = await client.get(f"{verification.url}/v1/session", headers={"Cookie": f"{verification.cookie_name}={cookie}"})
        assert own.status_code == 200
        for name in (verification.cookie_name, export.cookie_name):
            answer = await client.get(f"{export.url}/v1/session", headers={"Cookie": f"{name}={cookie}"})
            assert answer.status_code == 401
        row = dict(await verification.owner.fetchrow("select * from sessions"))
        await export.owner.execute("set mrm.action = 'system'")
        columns = ", ".join(row)
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        await export.owner.execute(f"insert into sessions ({columns}) values ({places})", *row.values())  # noqa: S608 - our own names
        moved = await client.get(f"{export.url}/v1/session", headers={"Cookie": f"{export.cookie_name}={cookie}"})
        assert moved.status_code == 401


async def test_a_form_of_our_own_page_needs_its_token_and_no_script(pages: Pages) -> None:
    async with pages.browser() as browser:
        page = await pages.signed_in(browser)
        wrong = await browser.submit(page, csrf="A" * 43)
        assert (wrong.status_code, wrong.json()["code"]) == (403, "csrf")
        elsewhere = await browser.go(
            "POST", f"{pages.origin}/sign-out", came_from="https://evil.example/", data=forms(page)[0].fields, follow=False
        )
        assert elsewhere.status_code == 403
        assert (await pages.session(browser)).status_code == 200
        assert (await browser.submit(page)).status_code == 200
        assert (await pages.session(browser)).status_code == 401


async def test_reading_changes_nothing(pages: Pages) -> None:
    async with pages.browser() as browser:
        await pages.signed_in(browser)
        before = await pages.acts()
        for path in ("/sign-out", "/sign-out/everywhere"):
            answer = await browser.get(f"{pages.origin}{path}?csrf={quote((await pages.session(browser)).json()['csrf'])}")
            assert answer.status_code == 405
        assert (await pages.session(browser)).status_code == 200
        assert await pages.acts() == before
        assert "csrf" not in json.dumps(before)
