"""Forged, stolen and malformed access tokens are refused in one voice; the issuer's keys may turn, and the issuer may be away."""

import base64
import hmac
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import OctKey

from chassis import issuer_keys
from chassis.errors import Unavailable
from chassis.identity import MAX_TOKEN_BYTES, Principal, TokenVerifier, Unauthenticated
from chassis.issuer_keys import IssuerKeys
from support.edge import RunningIntake
from support.issuer import SIGNERS, Issuer, new_key, segment

PERSON = ("amina", "/XAA/monitor")


@pytest.fixture
def verifier(issuer: Issuer) -> TokenVerifier:
    return TokenVerifier(issuer.url, "mrm")


async def refused(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


async def test_a_good_token_says_who_and_what(issuer: Issuer, verifier: TokenVerifier) -> None:
    principal = await verifier.verify(issuer.token(*PERSON, "/XBB/officer", "/_all/operator"))
    grants = frozenset({("XAA", "monitor"), ("XBB", "officer"), ("_all", "operator")})
    assert principal == Principal("amina", "Amina", grants)


@pytest.mark.parametrize("kind", ["Ed25519", "P-256", "RSA"])
async def test_each_allowed_kind_of_key_is_accepted(issuer: Issuer, verifier: TokenVerifier, kind: str) -> None:
    issuer.key = new_key(kind)
    issuer.served = [issuer.key.as_dict(private=False)]
    assert (await verifier.verify(issuer.token(*PERSON))).subject == "amina"
    if kind == "RSA":
        assert (await verifier.verify(issuer.token(*PERSON, header={"alg": "PS256"}))).subject == "amina"
    if kind == "Ed25519":
        assert (await verifier.verify(issuer.token(*PERSON, header={"alg": "Ed25519"}))).subject == "amina"


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "http://127.0.0.1:1/realms/mrm"},
    "no issuer": {"iss": None},
    "issuer as a list": {"iss": ["x"]},
    "another audience": {"aud": "account"},
    "no audience": {"aud": None},
    "audiences without ours": {"aud": ["account", "mrm2"]},
    "audience as an object": {"aud": {"mrm": True}},
    "expired": {"exp": int(time.time()) - 60},
    "no expiry": {"exp": None},
    "expiry as a text": {"exp": "2100-01-01"},
    "expiry as true": {"exp": True},
    "expiry beyond numbers": {"exp": 10**400},
    "not valid yet": {"nbf": int(time.time()) + 3600},
    "nbf as a text": {"nbf": "now"},
    "issued tomorrow": {"iat": int(time.time()) + 86_400},
    "no issue time": {"iat": None},
    "no subject": {"sub": None},
    "empty subject": {"sub": ""},
    "subject as a number": {"sub": 5},
    "subject with a line break": {"sub": "a\nb"},
    "endless subject": {"sub": "a" * 300},
    "groups as a text": {"groups": "/XAA/monitor"},
    "groups as an object": {"groups": {"/XAA/monitor": True}},
    "groups with a number": {"groups": ["/XAA/monitor", 5]},
    "groups with a list": {"groups": [["/XAA/monitor"]]},
}


@pytest.mark.parametrize("changes", BAD_CLAIMS.values(), ids=BAD_CLAIMS)
async def test_claims_that_do_not_hold(issuer: Issuer, verifier: TokenVerifier, changes: dict[str, Any]) -> None:
    await refused(verifier, issuer.token(*PERSON, **changes))
    assert (await verifier.verify(issuer.token(*PERSON))).subject == "amina"


BAD_HEADERS: dict[str, dict[str, Any]] = {
    "an identity token": {"typ": "JWT"},
    "a refresh token": {"typ": "Refresh"},
    "no type": {"typ": None},
    "type as a number": {"typ": 5},
    "key id as a number": {"kid": 5},
    "another key id": {"kid": "unheard-of"},
    "algorithm of another key": {"alg": "ES256"},
    "a critical extension": {"crit": ["b64"], "b64": False},
}


@pytest.mark.parametrize("changes", BAD_HEADERS.values(), ids=BAD_HEADERS)
async def test_headers_that_do_not_hold(issuer: Issuer, verifier: TokenVerifier, changes: dict[str, Any]) -> None:
    head = {"alg": "EdDSA", "kid": issuer.key.kid, "typ": "at+jwt", **changes}
    head = {name: value for name, value in head.items() if value is not None}
    await refused(verifier, handmade(issuer, head))
    assert (await verifier.verify(handmade(issuer, {"alg": "EdDSA", "kid": issuer.key.kid, "typ": "at+jwt"}))).subject == "amina"


def handmade(issuer: Issuer, head: object) -> str:
    """Sign whatever header with the issuer's own key."""
    signed = f"{segment(head)}.{segment(issuer.claims(*PERSON))}"
    signature = issuer.key.private_key.sign(signed.encode())
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


async def test_unsigned_and_stripped_tokens(issuer: Issuer, verifier: TokenVerifier) -> None:
    good = issuer.token(*PERSON)
    head, claims, signature = good.split(".")
    for token in (
        f"{segment({'alg': 'none', 'typ': 'at+jwt'})}.{claims}.",
        f"{segment({'alg': 'none', 'typ': 'at+jwt'})}.{claims}.{signature}",
        f"{segment({'alg': 'None', 'typ': 'at+jwt', 'kid': issuer.key.kid})}.{claims}.{signature}",
        f"{head}.{claims}.",
        f"{head}.{claims}",
        f"{head}..{signature}",
        f"{good}.",
        f"{good}=",
        f" {good}",
        f"{good}\n",
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        f"{segment([1])}.{claims}.{signature}",
        f"{head}.{segment(['amina'])}.{signature}",
    ):
        await refused(verifier, token)


async def test_every_changed_character_is_refused(issuer: Issuer, verifier: TokenVerifier) -> None:
    good = issuer.token(*PERSON)
    await verifier.verify(good)
    for position in range(0, len(good), 7):
        for other in ("A", "_"):
            changed = good[:position] + other + good[position + 1 :]
            if changed != good:
                await refused(verifier, changed)
    await refused(verifier, good[:-1] + chr(ord(good[-1]) + 1))


async def test_a_public_key_is_no_shared_secret(issuer: Issuer, verifier: TokenVerifier) -> None:
    issuer.key = new_key("RSA")
    issuer.served = [issuer.key.as_dict(private=False)]
    pem = issuer.key.public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.strip(), json.dumps(issuer.served[0]).encode()):
        signed = f"{segment({'alg': 'HS256', 'kid': issuer.key.kid, 'typ': 'at+jwt'})}.{segment(issuer.claims(*PERSON))}"
        signature = hmac.digest(secret, signed.encode(), "sha256")
        await refused(verifier, f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")
    assert (await verifier.verify(issuer.token(*PERSON))).subject == "amina"


async def test_a_key_in_the_token_is_not_believed(issuer: Issuer, verifier: TokenVerifier) -> None:
    own = new_key()
    for header in ({"jwk": own.as_dict(private=False)}, {"jku": f"{issuer.url}/mine"}, {"kid": issuer.key.kid}):
        await refused(verifier, issuer.token(*PERSON, key=own, header=header))


async def test_keys_that_must_not_be_used_are_as_if_absent(issuer: Issuer, verifier: TokenVerifier) -> None:
    secret = OctKey.generate_key(256, {"kid": "shared"})
    weak = {
        **new_key("RSA", kid="weak").as_dict(private=False),
        "n": base64.urlsafe_b64encode((1 << 1023 | 1).to_bytes(128)).decode().rstrip("="),
    }
    encryption = new_key(kid="enc")
    other_algorithm = new_key("RSA", kid="ps")
    issuer.served = [
        {**secret.as_dict(private=True), "use": "sig"},
        weak,
        {**encryption.as_dict(private=False), "use": "enc"},
        {**other_algorithm.as_dict(private=False), "alg": "PS256"},
        {"kty": "EC", "crv": "P-256", "kid": "broken", "x": "AA", "y": "AA"},
        {"kty": "OKP"},
        "nonsense",  # type: ignore[list-item]
        *issuer.served,
    ]
    assert (await verifier.verify(issuer.token(*PERSON))).subject == "amina"
    await refused(verifier, issuer.token(*PERSON, key=encryption))
    await refused(verifier, issuer.token(*PERSON, key=other_algorithm))
    token = jwt.encode(
        {"alg": "HS256", "kid": "shared", "typ": "at+jwt"}, issuer.claims(*PERSON), secret, registry=SIGNERS, default_type=None
    )
    await refused(verifier, token)
    assert (await verifier.verify(issuer.token(*PERSON, key=other_algorithm, header={"alg": "PS256"}))).subject == "amina"


async def test_a_token_of_another_installation_is_refused(issuer: Issuer, verifier: TokenVerifier) -> None:
    elsewhere = Issuer()
    try:
        await refused(verifier, elsewhere.token(*PERSON))
        await refused(verifier, elsewhere.token(*PERSON, iss=issuer.url))
    finally:
        elsewhere.stop()


async def test_oversized_tokens_are_refused_before_anything_is_done_with_them(issuer: Issuer, verifier: TokenVerifier) -> None:
    await refused(verifier, issuer.token(*PERSON, padding="x" * MAX_TOKEN_BYTES))
    await refused(verifier, "a" * 1_000_000)
    assert issuer.fetches == 0


GROUPS: dict[str, tuple[list[str], set[tuple[str, str]]]] = {
    "none": ([], set()),
    "unknown role": (["/XAA/king"], set()),
    "no leading slash": (["XAA/monitor"], set()),
    "deeper": (["/XAA/team/monitor"], set()),
    "no role": (["/XAA", "/XAA/", "//monitor", "/"], set()),
    "everywhere is for operators": (["/_all/monitor", "/_all/officer", "/_all/operator"], {("_all", "operator")}),
    "reserved": (["/_alleged/monitor"], set()),
    "control characters": (["/X\x00A/monitor", "/X\nA/monitor"], set()),
    "other people's groups": (["/staff", "/XAA/monitor", "offline_access"], {("XAA", "monitor")}),
    "any script": (["/افغانستان/monitor"], {("افغانستان", "monitor")}),
}


@pytest.mark.parametrize(("groups", "grants"), GROUPS.values(), ids=GROUPS)
async def test_roles_come_from_the_closed_list(
    issuer: Issuer, verifier: TokenVerifier, groups: list[str], grants: set[tuple[str, str]]
) -> None:
    assert (await verifier.verify(issuer.token("amina", *groups))).grants == frozenset(grants)


async def test_a_token_without_groups_grants_nothing(issuer: Issuer, verifier: TokenVerifier) -> None:
    assert (await verifier.verify(issuer.token("amina", groups=None))).grants == frozenset()


async def test_clocks_may_differ_by_half_a_minute_and_no_more(issuer: Issuer) -> None:
    now = time.time()
    verifier = TokenVerifier(issuer.url, "mrm", clock=lambda: now)
    for leeway in (25, 29):
        await verifier.verify(issuer.token(*PERSON, exp=int(now) - leeway))
        await verifier.verify(issuer.token(*PERSON, iat=int(now) + leeway, nbf=int(now) + leeway))
    await refused(verifier, issuer.token(*PERSON, exp=int(now) - 31))
    await refused(verifier, issuer.token(*PERSON, iat=int(now) + 32))
    await refused(verifier, issuer.token(*PERSON, nbf=int(now) + 32))


async def test_a_remembered_token_expires_too(issuer: Issuer) -> None:
    now = [time.time()]
    verifier = TokenVerifier(issuer.url, "mrm", clock=lambda: now[0])
    token = issuer.token(*PERSON)
    await verifier.verify(token)
    now[0] += 300 + 29
    await verifier.verify(token)
    now[0] += 2
    await refused(verifier, token)


async def test_other_issuers_may_call_their_tokens_jwt(issuer: Issuer) -> None:
    lenient = TokenVerifier(issuer.url, "mrm", types=("at+jwt", "jwt"))
    assert (await lenient.verify(issuer.token(*PERSON, header={"typ": "JWT"}))).subject == "amina"
    assert (await lenient.verify(issuer.token(*PERSON, header={"typ": "application/at+jwt"}))).subject == "amina"


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def turned(issuer: Issuer, verifier: TokenVerifier) -> Clock:
    clock = Clock()
    verifier._keys = IssuerKeys(issuer.url, clock=clock)
    return clock


async def test_a_new_key_is_fetched_when_first_seen(issuer: Issuer, verifier: TokenVerifier, turned: Clock) -> None:
    old = issuer.token(*PERSON)
    await verifier.verify(old)
    issuer.key = new_key()
    issuer.served.append(issuer.key.as_dict(private=False))
    turned.now += issuer_keys.RETRY_AFTER_SECONDS
    assert (await verifier.verify(issuer.token(*PERSON))).subject == "amina"
    assert (await verifier.verify(old)).subject == "amina"
    assert issuer.fetches == 2


async def test_a_withdrawn_key_stops_even_tokens_seen_before(issuer: Issuer, verifier: TokenVerifier, turned: Clock) -> None:
    old = issuer.token(*PERSON)
    await verifier.verify(old)
    issuer.key = new_key()
    issuer.served = [issuer.key.as_dict(private=False)]
    turned.now += issuer_keys.RETRY_AFTER_SECONDS
    await verifier.verify(issuer.token(*PERSON))
    await refused(verifier, old)


async def test_old_keys_are_renewed_without_anybody_asking(issuer: Issuer, verifier: TokenVerifier, turned: Clock) -> None:
    old = issuer.token(*PERSON)
    await verifier.verify(old)
    issuer.served = [new_key().as_dict(private=False)]
    turned.now += issuer_keys.OLD_AFTER_SECONDS + 1
    await verifier.verify(old)
    assert verifier._keys._background is not None
    await verifier._keys._background
    await refused(verifier, old)
    await verifier.close()


async def test_unknown_key_ids_do_not_flood_the_issuer(issuer: Issuer, verifier: TokenVerifier, turned: Clock) -> None:
    await verifier.verify(issuer.token(*PERSON))
    for number in range(50):
        await refused(verifier, issuer.token(*PERSON, header={"kid": f"guess-{number}"}))
    assert issuer.fetches == 1
    turned.now += issuer_keys.RETRY_AFTER_SECONDS
    for number in range(50):
        await refused(verifier, issuer.token(*PERSON, header={"kid": f"again-{number}"}))
    assert issuer.fetches == 2


async def test_while_the_issuer_is_away_known_keys_go_on(issuer: Issuer, verifier: TokenVerifier, turned: Clock) -> None:
    await verifier.verify(issuer.token(*PERSON))
    issuer.stop()
    turned.now += issuer_keys.OLD_AFTER_SECONDS + 1
    assert (await verifier.verify(issuer.token(*PERSON))).subject == "amina"
    await refused(verifier, issuer.token(*PERSON, key=new_key()))
    await verifier.close()


async def test_without_any_key_the_answer_is_unavailable_until_the_issuer_is_back(
    issuer: Issuer, verifier: TokenVerifier, turned: Clock
) -> None:
    issuer.stop()
    with pytest.raises(Unavailable):
        await verifier.verify(issuer.token(*PERSON))
    issuer.start()
    turned.now += issuer_keys.RETRY_AFTER_SECONDS
    assert (await verifier.verify(issuer.token(*PERSON))).subject == "amina"


async def test_an_issuer_that_speaks_for_another_is_not_believed(issuer: Issuer) -> None:
    verifier = TokenVerifier(issuer.url.replace("127.0.0.1", "localhost"), "mrm")
    with pytest.raises(Unavailable):
        await verifier.verify(issuer.token(*PERSON, iss=issuer.url.replace("127.0.0.1", "localhost")))


SCHEMES = ["", "Bearer", "Basic YTpi", "bearer", "Token {}", "{}", "Bearer {} x", "Bearer {},Bearer {}"]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_over_http_every_refusal_is_the_same_401(quiet_intake: RunningIntake, scheme: str) -> None:
    header = scheme.replace("{}", quiet_intake.token("amina", "/XAA/monitor"))
    answer = await quiet_intake.client.get("/v1/incidents", headers={"Authorization": header})
    plain = await quiet_intake.client.get("/v1/incidents")
    assert (answer.status_code, plain.status_code) == (401, 401)
    assert answer.text == plain.text
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "unauthenticated"


async def test_two_authorization_headers_are_none(quiet_intake: RunningIntake) -> None:
    token = quiet_intake.token("amina", "/XAA/monitor")
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert (await quiet_intake.client.get("/v1/incidents", headers=twice)).status_code == 401
    assert (await quiet_intake.client.get("/v1/incidents", headers=twice[:1])).status_code == 200


async def test_a_megabyte_token_over_http_is_refused_and_the_service_goes_on(quiet_intake: RunningIntake) -> None:
    answer = await quiet_intake.client.get("/v1/incidents", headers={"Authorization": "Bearer " + "a" * 1_000_000})
    assert answer.status_code in (400, 401, 431)
    assert (await quiet_intake.get("/v1/incidents")).status_code == 200
