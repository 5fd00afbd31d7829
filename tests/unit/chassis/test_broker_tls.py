"""With which authorities a service begins, and with which it does not."""

import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.delivery.broker_tls import UnusableAuthoritiesError, broker_tls, is_in_the_clear
from chassis.delivery.bus import client_settings
from chassis.settings import ServiceSettings
from support.apps import build_app
from support.authority import Authority
from support.serving import environment


def settings_with(folder: Path, **changes: object) -> ServiceSettings:
    settings: ServiceSettings = build_app("intake", folder).state.service.settings
    return settings.model_copy(update=changes)


def test_authorities_make_every_client_speak_checked_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority.pem")
    login = client_settings(settings_with(tmp_path, kafka_tls_ca=authority.file))
    context = login["ssl_context"]
    assert (login["security_protocol"], context.verify_mode, context.check_hostname) == ("SASL_SSL", ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1  # none of the system's


def test_several_authorities_are_believed_side_by_side(tmp_path: Path) -> None:
    pems = [Authority(tmp_path / name).file.read_text() for name in ("old.pem", "new.pem")]
    both = tmp_path / "both.pem"
    both.write_text("".join(pems))
    context = broker_tls(settings_with(tmp_path, kafka_tls_ca=both))
    assert context is not None
    assert len(context.get_ca_certs()) == 2


@pytest.mark.parametrize(
    ("bootstrap", "clear"),
    [
        ("127.0.0.1:9092", False),
        ("localhost:9092,[::1]:9093", False),
        ("127.0.0.1:9092,kafka.example.org:9092", True),
        ("10.0.0.7:9092", True),
    ],
)
def test_plain_connections_are_for_this_machine(bootstrap: str, clear: bool, tmp_path: Path) -> None:
    settings = settings_with(tmp_path, kafka_bootstrap=bootstrap)
    assert is_in_the_clear(settings) is clear
    assert not is_in_the_clear(settings.model_copy(update={"kafka_tls_ca": tmp_path}))
    assert client_settings(settings)["security_protocol"] == "SASL_PLAINTEXT"


CONTENTS = {
    "empty": "",
    "nonsense": "nonsense",
    "not ASCII": "سر",
    "broken": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("case", ["missing", "a folder", "a key", "a certificate of no authority", *CONTENTS])
def test_what_holds_no_authority_is_refused_by_a_sentence(case: str, tmp_path: Path) -> None:
    file, sentence = tmp_path / "given.pem", "must hold the certificates, in PEM, of the authorities"
    match case:
        case "missing":
            sentence = "The file of MRM_KAFKA_TLS_CA cannot be read; name an existing one"
        case "a folder":
            file.mkdir()
            sentence = "The file of MRM_KAFKA_TLS_CA cannot be read; name an existing one"
        case "a key":
            file.write_text(Authority(tmp_path / "authority.pem").sign("127.0.0.1")[1])
        case "a certificate of no authority":
            file.write_text(Authority(tmp_path / "authority.pem").sign("127.0.0.1")[0].partition("-----END CERTIFICATE-----\n")[0])
            file.write_text(file.read_text() + "-----END CERTIFICATE-----\n")
        case _:
            file.write_text(CONTENTS[case])
    with pytest.raises(UnusableAuthoritiesError, match=sentence) as refused:
        broker_tls(settings_with(tmp_path, kafka_tls_ca=file))
    assert "MRM_KAFKA_TLS_CA" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_a_process_does_not_start_without_the_authorities_it_is_told_to_believe(tmp_path: Path) -> None:
    names = {"MRM_KAFKA_TLS_CA": str(tmp_path / "missing.pem")}
    settings = environment(tmp_path, database_url="postgresql://intake@/intake?host=/nowhere", issuer="http://127.0.0.1:1", **names)
    done = subprocess.run([sys.executable, "-m", "intake"], env=settings, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "The file of MRM_KAFKA_TLS_CA cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert str(tmp_path) not in done.stderr
