"""The permission table and the routes agree: no route without an action that has rows, no row that no route asks about."""

from pathlib import Path

import pytest

from chassis.http.access import action_of, is_open
from chassis.http.openapi import describe, routes_of
from chassis.identity import EVERYWHERE, ROLES
from contracts.permissions import rows_for, table
from support.apps import SERVICES, build_app

PUBLIC = {"/healthz", "/readyz", "/openapi.json", "/v1/receipts/keys"}
OF_ONES_OWN_SESSION = {"/sign-in", "/sign-in/callback", "/account", "/v1/session", "/pages.css"}
"""Open to all, because nobody needs a role to sign in; they tell somebody of the session they came with and nothing else."""
OUT = {"/sign-out", "/sign-out/everywhere"}
"""The only open routes that change anything: they end the session they came with, if a page of that session asks."""
BY_ISSUER = {"/sign-out/by-issuer"}
"""Open to all, because whoever it is does not come with a session: what ends one is a token in the body that only the issuer can sign."""
SAFE_METHODS = {"GET", "HEAD"}
NOT_OVER_HTTP_YET = {"counts.rebuild", "audit.read"}
"""Acts whose rows stand ready for what the operator and the auditor get next."""
ASKED_WITHIN_ANOTHER = {"case.read_confidential"}
"""Rows that decide what an answer shows rather than whether there is one; `routes.seeing` of verification asks about them."""


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_has_an_action_with_rows_or_is_known_to_be_public(service: str, tmp_path: Path) -> None:
    seen = 0
    for context, route in routes_of(build_app(service, tmp_path)):
        action = action_of(route.dependant)
        if is_open(route.dependant):
            assert context.path in PUBLIC | OF_ONES_OWN_SESSION | OUT | BY_ISSUER, f"{context.path} is open to all"
            assert (route.methods or set()) <= SAFE_METHODS or context.path in OUT | BY_ISSUER
            assert action is None
        else:
            assert action is not None, f"{context.path} names no action"
            assert rows_for(service, action), f"nobody may do {action}"
        seen += 1
    assert seen >= len(PUBLIC)


@pytest.mark.parametrize("service", SERVICES)
def test_every_row_is_asked_about_by_a_route(service: str, tmp_path: Path) -> None:
    asked = {action_of(route.dependant) for _, route in routes_of(build_app(service, tmp_path))}
    assert {row.action for row in table() if row.service == service} - asked <= NOT_OVER_HTTP_YET | ASKED_WITHIN_ANOTHER


def test_rows_are_of_known_services_and_roles_and_stand_once() -> None:
    assert {row.role for row in table()} == ROLES
    assert {row.service for row in table()} == set(SERVICES)
    keys = [(row.service, row.action, row.role, row.relation, row.state) for row in table()]
    assert len(keys) == len(set(keys))
    assert EVERYWHERE not in ROLES


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_of_the_description_names_its_refusals(service: str, tmp_path: Path) -> None:
    document = describe(build_app(service, tmp_path))
    assert "Problem" in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            assert {"429", "431", "500", "503"} <= set(responses), (path, method)
            assert all(responses[status]["headers"]["Retry-After"]["required"] for status in ("429", "503")), (path, method)
            if operation.get("security"):
                assert {"401", "403", "404"} <= set(responses), (path, method)
            if "requestBody" in operation:
                assert {"400", "408", "409", "413", "415", "422"} <= set(responses), (path, method)
            assert "HTTPValidationError" not in str(operation)
