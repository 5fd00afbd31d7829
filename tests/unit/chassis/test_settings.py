"""The origin browsers see decides where the issuer leads them back to: it is an origin, with TLS, or on loopback."""

from typing import Any

import pytest
from pydantic import ValidationError

from chassis.settings import ServiceSettings


def settings(**changes: Any) -> ServiceSettings:
    known = {
        "database_url": "postgresql://nobody@/nowhere",
        "kafka_bootstrap": "127.0.0.1:1",
        "kafka_username": "intake",
        "kafka_password": "-",
        "keys_dir": ".",
        "trust_file": "trust.json",
        "issuer": "https://issuer.example",
    }
    return ServiceSettings.model_validate(known | changes)


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ({"port": 8001}, "http://127.0.0.1:8001"),
        ({"host": "::1", "port": 8001}, "http://[::1]:8001"),
        ({"port": 8001, "tls_certificate": "c.pem"}, "https://127.0.0.1:8001"),
        ({"host": "10.0.0.7", "port": 8001}, ""),
        ({"host": "10.0.0.7", "public_url": "https://intake.example.org"}, "https://intake.example.org"),
        ({"public_url": "https://Intake.Example.org:443"}, "https://intake.example.org"),
        ({"public_url": "https://intake.example.org:8443"}, "https://intake.example.org:8443"),
        ({"public_url": "http://localhost:80"}, "http://localhost"),
    ],
)
def test_the_origin_is_what_browsers_say(given: dict[str, Any], origin: str) -> None:
    assert settings(**given).origin == origin


@pytest.mark.parametrize(
    "url",
    [
        "http://intake.example.org",
        "https://intake.example.org/",
        "https://intake.example.org/path",
        "https://intake.example.org?x=1",
        "https://user@intake.example.org",
        "https://",
        "//intake.example.org",
        "intake.example.org",
        "ftp://127.0.0.1",
        "javascript:alert(1)",
        "https://intake.example.org\n",
        "https://intake.example.org evil",
    ],
)
def test_what_is_no_origin_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        settings(public_url=url)


def test_scopes_without_openid_are_refused() -> None:
    with pytest.raises(ValidationError):
        settings(sign_in_scopes="profile")


def test_a_secret_shows_nowhere() -> None:
    assert "hidden words" not in repr(settings(client_secret="hidden words"))
