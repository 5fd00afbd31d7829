"""The embedded identity provider: what an access token says, and how rights in a situation come and go."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from local_stack.errors import StackError
from local_stack.identity import IdentityServer
from local_stack.people import PEOPLE, SITUATION_ROLES, Person
from support.running import Stack, token_parts


def groups(server: IdentityServer, person: str) -> set[str]:
    return set(token_parts(server.access_token(person))[1].get("groups", []))


def test_a_token_is_an_rfc_9068_access_token_for_this_installation(identity_server: IdentityServer) -> None:
    header, claims = token_parts(identity_server.access_token("operator"))
    assert (header["typ"], header["alg"]) == ("at+jwt", "EdDSA")
    assert claims["iss"] == identity_server.issuer
    assert claims["aud"] == "mrm"
    assert claims["exp"] - claims["iat"] == 300
    assert claims["preferred_username"] == "operator"
    assert claims["groups"] == ["/_all/operator"]
    assert {"sub", "jti", "azp"} <= set(claims)
    assert "realm_access" not in claims


def test_the_issuer_publishes_the_key_that_signed(identity_server: IdentityServer) -> None:
    header, _ = token_parts(identity_server.access_token("monitor"))
    discovery = httpx.get(f"{identity_server.issuer}/.well-known/openid-configuration").json()
    keys = httpx.get(discovery["jwks_uri"]).json()["keys"]
    assert [(key["kid"], key["crv"]) for key in keys] == [(header["kid"], "Ed25519")]


def test_local_people_get_their_role_in_a_new_situation_and_lose_it(identity_server: IdentityServer) -> None:
    before = {person.username: groups(identity_server, person.username) for person in PEOPLE}
    assert not [place for places in before.values() for place in places if place.startswith("/XAA-2024/")]
    with identity_server.directory() as directory:
        directory.grant_situation("XAA-2024")
        directory.grant_situation("XAA-2024")
        for person in PEOPLE:
            expected = "/_all/operator" if person.role is None else f"/XAA-2024/{person.role}"
            assert groups(identity_server, person.username) == {expected} | before[person.username]
        directory.revoke_situation("XAA-2024")
        directory.revoke_situation("XAA-2024")
    assert {person.username: groups(identity_server, person.username) for person in PEOPLE} == before
    assert {person.role for person in PEOPLE if person.role} == set(SITUATION_ROLES)


def test_another_person_gets_only_the_roles_named(identity_server: IdentityServer) -> None:
    with identity_server.directory() as directory:
        directory.grant_situation("XBB-2024")
        directory.add_person(Person("monitor2", "Mo", "Second", None), situations={"XBB-2024": ["monitor"]})
        assert groups(identity_server, "monitor2") == {"/XBB-2024/monitor"}
        directory.revoke_situation("XBB-2024")


@pytest.mark.parametrize("code", ["", "_all", "A/B"])
def test_a_code_that_would_name_another_group_is_refused(identity_server: IdentityServer, code: str) -> None:
    with identity_server.directory() as directory, pytest.raises(StackError):
        directory.grant_situation(code)


def test_nobody_else_gets_a_token(identity_server: IdentityServer) -> None:
    with pytest.raises(StackError, match="Nobody here"):
        identity_server.access_token("stranger")
    answer = httpx.post(
        f"{identity_server.issuer}/protocol/openid-connect/token",
        data={"grant_type": "password", "client_id": "mrm-cli", "username": "monitor", "password": "monitor"},
    )
    assert answer.status_code == 401
    answer = httpx.post(
        f"{identity_server.issuer}/protocol/openid-connect/token",
        data={"grant_type": "password", "client_id": "mrm-pages-intake", "username": "monitor", "password": "monitor"},
    )
    assert answer.status_code in {400, 401}


def test_a_password_cannot_be_guessed_for_long(identity_server: IdentityServer) -> None:
    with identity_server.directory() as directory:
        directory.add_person(Person("guessed", "Gu", "Essed", None), situations={})
    identity_server.access_token("guessed")
    form = {"grant_type": "password", "client_id": "mrm-cli", "username": "guessed", "password": "fourteen or more letters"}
    for _ in range(12):
        assert httpx.post(f"{identity_server.issuer}/protocol/openid-connect/token", data=form).status_code == 401
    with pytest.raises(StackError):
        identity_server.access_token("guessed")  # the right one, a moment too late
    identity_server.access_token("monitor")  # nobody else is kept out


def test_one_person_may_sign_in_several_times_at_once(identity_server: IdentityServer) -> None:
    """Commands side by side act as the same people; guarding passwords must not keep out whoever has the right one."""
    with ThreadPoolExecutor(8) as several:
        tokens = list(several.map(identity_server.access_token, ["operator"] * 40))
    assert len(tokens) == 40


def test_no_secret_shows_in_the_process_list(stack: Stack, identity_server: IdentityServer) -> None:
    process = psutil.Process(stack.parts()["identity"]["pid"])
    secret = (identity_server._secrets / "identity-admin").read_text()
    assert secret not in " ".join([*process.cmdline(), *process.environ().values()])
    assert (identity_server._home / "conf" / "keycloak.conf").stat().st_mode & 0o077 == 0


def test_listens_on_loopback_only(stack: Stack) -> None:
    process = psutil.Process(stack.parts()["identity"]["pid"])
    listening = {c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert listening
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}
