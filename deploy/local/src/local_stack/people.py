"""The local stack's people and their rights: groups `/<situation>/<role>` in the identity provider.

On an installation people come from its own directory; this module knows only the provider that the local stack runs.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from local_stack.errors import StackError
from local_stack.loopback import no_authorities
from local_stack.private_files import generated_secret

REALM: Final = "mrm"
CLIENT: Final = "mrm-cli"
SIGN_OUT: Final = "/sign-out/by-issuer"
"""Where a service hears that somebody's session at the provider has ended."""
_SIGN_OUT_SETTING: Final = "backchannel.logout.url"
ADMIN: Final = "stack-admin"
EVERYWHERE: Final = "_all"
SITUATION_ROLES: Final = ("monitor", "focal_point", "technical", "cochair_un", "cochair_unicef", "officer", "auditor")
OPERATOR_GROUP: Final = f"/{EVERYWHERE}/operator"
TOKEN_MARGIN = 10.0  # seconds before its expiry in which the administrator's token is no longer used


@dataclass(frozen=True)
class Person:
    """One of the local people: their log-in, their name, and the role they get in every situation (None: operator)."""

    username: str
    first_name: str
    last_name: str
    role: str | None


PEOPLE: Final = (
    Person("monitor", "Mina", "Monitor", "monitor"),
    Person("focal", "Farid", "Focal", "focal_point"),
    Person("technical", "Tara", "Technical", "technical"),
    Person("cochair_un", "Ulla", "Cochair", "cochair_un"),
    Person("cochair_unicef", "Chidi", "Cochair", "cochair_unicef"),
    Person("officer", "Ofelia", "Officer", "officer"),
    Person("auditor", "Aino", "Auditor", "auditor"),
    Person("operator", "Omar", "Operator", None),
)


def password_of(secrets: Path, username: str) -> str:
    """Return the password of a person of this stack, generating it on first use."""
    return generated_secret(secrets / "people" / username)


def access_token(issuer: str, secrets: Path, username: str) -> str:
    """Return an access token of a person of this stack. Raises StackError for anybody else."""
    if not (secrets / "people" / username).is_file():
        known = " ".join(sorted(path.name for path in (secrets / "people").glob("[!.]*")))
        raise StackError(f"Nobody here is called {username!r}.", remedy=f"The people of this stack: {known}.")
    answer = _post(
        f"{issuer}/protocol/openid-connect/token",
        {
            "grant_type": "password",
            "client_id": CLIENT,
            "username": username,
            "password": password_of(secrets, username),
        },
    )
    return str(answer["access_token"])


def pages_client(service: str) -> str:
    """Return the client of a service's pages: one each, for the provider tells one address per client who was signed out."""
    return f"mrm-pages-{service}"


class Directory:
    """The administrator's view of the people; use it as a context manager."""

    def __init__(self, address: str, secrets: Path) -> None:
        """Name the provider's address (without a path) and the stack's secrets; nothing is asked yet."""
        self._address = address
        self._secrets = secrets
        self._client = httpx.Client(base_url=f"{address}/admin/realms/{REALM}", timeout=30, verify=no_authorities())
        self._token = ""
        self._token_until = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def ensure_people(self, people: Iterable[Person] = PEOPLE) -> None:
        """Create the local people that do not exist yet; operators join their group."""
        for person in people:
            if self._user_id(person.username) is None:
                self._create(person)
            if person.role is None:
                self._join(person.username, OPERATOR_GROUP)

    def tell_of_sign_outs(self, services: Mapping[str, str]) -> None:
        """Have the provider tell these services, by name and address, whose sessions end; doing it twice changes nothing."""
        for service, address in services.items():
            (client,) = self._ask("GET", "/clients", params={"clientId": pages_client(service)}).json()
            told = f"{address}{SIGN_OUT}"
            if client["attributes"].get(_SIGN_OUT_SETTING) != told:
                client["attributes"][_SIGN_OUT_SETTING] = told
                self._ask("PUT", f"/clients/{client['id']}", client)

    def end_sessions(self, username: str) -> None:
        """End every session of a person at the provider; it tells the services."""
        self._ask("POST", f"/users/{self._user_id(username)}/logout", {})

    def add_person(self, person: Person, *, situations: Mapping[str, Iterable[str]]) -> None:
        """Add a person with roles per situation; the situations' groups must exist."""
        if self._user_id(person.username) is None:
            self._create(person)
        for situation, roles in situations.items():
            for role in roles:
                self._join(person.username, f"/{situation}/{role}")

    def grant_situation(self, code: str) -> None:
        """Make the groups of a situation and let the local people join theirs; doing it twice changes nothing."""
        if not code or code.startswith("_") or "/" in code:
            raise StackError(f"{code!r} cannot name a situation.", remedy="Leave out slashes and a leading underscore.")
        parent = self._ensure_group(f"/{code}", parent=None)
        for role in SITUATION_ROLES:
            self._ensure_group(f"/{code}/{role}", parent=parent)
        for person in PEOPLE:
            if person.role is not None:
                self._join(person.username, f"/{code}/{person.role}")

    def revoke_situation(self, code: str) -> None:
        """Remove the groups of a situation, and with them everybody's rights in it."""
        group = self._group_id(f"/{code}")
        if group is not None:
            self._ask("DELETE", f"/groups/{group}")

    def _create(self, person: Person) -> None:
        password = password_of(self._secrets, person.username)
        self._ask(
            "POST",
            "/users",
            {
                "username": person.username,
                "firstName": person.first_name,
                "lastName": person.last_name,
                "email": f"{person.username}@people.invalid",
                "emailVerified": True,
                "enabled": True,
                "credentials": [{"type": "password", "value": password, "temporary": False}],
            },
        )

    def _join(self, username: str, group: str) -> None:
        user, group_id = self._user_id(username), self._group_id(group)
        if user is None or group_id is None:
            raise StackError(f"{username} cannot join {group}: one of them does not exist.", remedy="Run `mrm up`.")
        self._ask("PUT", f"/users/{user}/groups/{group_id}", {})

    def _user_id(self, username: str) -> str | None:
        found = self._ask("GET", "/users", params={"username": username, "exact": "true"}).json()
        return str(found[0]["id"]) if found else None

    def _group_id(self, path: str) -> str | None:
        answer = self._ask("GET", f"/group-by-path{path}", missing_is_fine=True)
        return None if answer.status_code == httpx.codes.NOT_FOUND else str(answer.json()["id"])

    def _ensure_group(self, path: str, *, parent: str | None) -> str:
        known = self._group_id(path)
        if known is not None:
            return known
        where = "/groups" if parent is None else f"/groups/{parent}/children"
        self._ask("POST", where, {"name": path.rsplit("/", 1)[-1]}, conflict_is_fine=True)
        made = self._group_id(path)
        if made is None:
            raise StackError(f"The group {path} could not be made.", remedy="Run `mrm logs identity`.")
        return made

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        missing_is_fine: bool = False,
        conflict_is_fine: bool = False,
    ) -> httpx.Response:
        fine = {httpx.codes.NOT_FOUND} if missing_is_fine else set()
        fine |= {httpx.codes.CONFLICT} if conflict_is_fine else set()
        try:
            headers = {"Authorization": f"Bearer {self._admin_token()}"}
            answer = self._client.request(method, path, json=body, params=params, headers=headers)
        except httpx.HTTPError as error:
            raise _unreachable(error) from None
        if answer.is_error and answer.status_code not in fine:
            raise StackError(
                f"The identity provider refused to {method.lower()} {path.split('/')[1]} ({answer.status_code}).",
                remedy="Run `mrm logs identity`.",
            )
        return answer

    def _admin_token(self) -> str:
        if time.monotonic() > self._token_until:
            answer = _post(
                f"{self._address}/realms/master/protocol/openid-connect/token",
                {
                    "grant_type": "password",
                    "client_id": "admin-cli",
                    "username": ADMIN,
                    "password": generated_secret(self._secrets / "identity-admin"),
                },
            )
            self._token = str(answer["access_token"])
            self._token_until = time.monotonic() + float(answer["expires_in"]) - TOKEN_MARGIN
        return self._token


def _post(url: str, form: Mapping[str, str]) -> dict[str, Any]:
    try:
        answer = httpx.post(url, data=dict(form), timeout=30, verify=no_authorities())
    except httpx.HTTPError as error:
        raise _unreachable(error) from None
    if answer.is_error:
        raise StackError(f"The identity provider gave no token ({answer.status_code}).", remedy="Run `mrm logs identity`.")
    document: dict[str, Any] = answer.json()
    return document


def _unreachable(error: httpx.HTTPError) -> StackError:
    return StackError(
        f"The identity provider does not answer ({type(error).__name__}).",
        remedy="`mrm status` tells whether the stack runs; `mrm up` starts it.",
    )
