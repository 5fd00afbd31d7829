"""HTTPS without a proxy: real certificates, real clients, and no start with what cannot be used or with a key that others may read."""

import asyncio
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509
from fastapi import FastAPI

from chassis.http.tls import Certificate, UnusableCertificateError, certificate_of
from chassis.settings import ServiceSettings
from support.apps import build_app
from support.edge import served
from support.serving import CertificateFiles, environment, intake_process, write_certificate

NOWHERE = "postgresql://intake@/intake?host=/nowhere"


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    return write_certificate(tmp_path)


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return build_app("intake", tmp_path)


async def serial_served(url: str) -> int:
    """Return the serial number of the certificate that a new connection is shown."""
    parts = urlsplit(url)
    pem = await asyncio.to_thread(ssl.get_server_certificate, (str(parts.hostname), int(parts.port or 0)))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


async def test_https_works_and_http_does_not(app: FastAPI, files: CertificateFiles) -> None:
    async with served(app, certificate=Certificate(files.certificate, files.key)) as url:
        async with httpx.AsyncClient(base_url=url, verify=files.client()) as client:
            answer = await client.get("/healthz")
            assert (answer.status_code, answer.json()) == (200, {"live": True})
            assert "max-age=" in answer.headers["strict-transport-security"]
            assert answer.extensions["network_stream"].get_extra_info("ssl_object").version() == "TLSv1.3"
            assert (await client.get("/v1/incidents")).status_code == 401
        async with httpx.AsyncClient(base_url=url.replace("https", "http")) as plain:
            with pytest.raises(httpx.TransportError):
                await plain.get("/healthz")
        async with httpx.AsyncClient(base_url=url) as stranger:
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await stranger.get("/healthz")


async def handshake(url: str, files: CertificateFiles, version: ssl.TLSVersion) -> str | None:
    """Return the version that a client of one version only gets to speak."""
    context = files.client()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    parts = urlsplit(url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
    spoken: str | None = writer.get_extra_info("ssl_object").version()
    writer.close()
    return spoken


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_nothing_older_than_tls_1_2_is_spoken(app: FastAPI, files: CertificateFiles) -> None:
    certificate = Certificate(files.certificate, files.key)
    async with served(app, certificate=certificate) as url:
        assert await handshake(url, files, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await handshake(url, files, ssl.TLSVersion.TLSv1_1)
    certificate.context.minimum_version = ssl.TLSVersion.TLSv1
    certificate.context.set_ciphers("DEFAULT:@SECLEVEL=0")
    async with served(app, certificate=certificate) as url:
        assert await handshake(url, files, ssl.TLSVersion.TLSv1_1) == "TLSv1.1"  # the client could


async def test_a_renewed_certificate_is_taken_and_a_broken_one_is_not(app: FastAPI, files: CertificateFiles) -> None:
    certificate = Certificate(files.certificate, files.key)
    async with served(app, certificate=certificate) as url:
        assert await serial_served(url) == files.serial
        renewed = write_certificate(files.key.parent)
        assert await serial_served(url) == files.serial
        certificate.reload()
        assert await serial_served(url) == renewed.serial
        files.certificate.write_text("nonsense")
        with pytest.raises(UnusableCertificateError):
            certificate.reload()
        files.certificate.unlink()
        with pytest.raises(UnusableCertificateError):
            certificate.reload()
        assert await serial_served(url) == renewed.serial


def test_a_key_of_another_certificate_is_refused(files: CertificateFiles, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_certificate(tmp_path / "other")
    with pytest.raises(UnusableCertificateError, match="private key"):
        Certificate(files.certificate, other.key)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    files = write_certificate(tmp_path, password=b"secret")
    with pytest.raises(UnusableCertificateError, match="unencrypted"):
        Certificate(files.certificate, files.key)


REFUSED: dict[str, tuple[str, ...]] = {
    "MRM_TLS_CERTIFICATE and MRM_TLS_KEY": ("only the certificate", "only the key"),
    "MRM_TLS_KEY is open to others": ("a key that its group may read", "a key that all may read"),
    "MRM_TLS_CERTIFICATE cannot be read": ("no certificate",),
    "MRM_TLS_KEY cannot be read": ("no key", "a folder as key"),
    "in PEM": ("nonsense",),
}


@pytest.mark.parametrize(("sentence", "case"), [(sentence, case) for sentence, cases in REFUSED.items() for case in cases])
def test_what_cannot_be_served_with_is_refused_by_a_sentence(sentence: str, case: str, files: CertificateFiles, tmp_path: Path) -> None:
    names: dict[str, Path | None] = {"tls_certificate": files.certificate, "tls_key": files.key}
    match case:
        case "only the certificate":
            names["tls_key"] = None
        case "only the key":
            names["tls_certificate"] = None
        case "a key that its group may read":
            files.key.chmod(0o640)
        case "a key that all may read":
            files.key.chmod(0o604)
        case "no certificate":
            files.certificate.unlink()
        case "no key":
            files.key.unlink()
        case "a folder as key":
            names["tls_key"] = tmp_path
        case "nonsense":
            files.certificate.write_text("nonsense")
    settings: ServiceSettings = build_app("intake", tmp_path).state.service.settings
    with pytest.raises(UnusableCertificateError, match=sentence) as refused:
        certificate_of(settings.model_copy(update=names))
    assert str(tmp_path) not in str(refused.value)


def test_a_process_does_not_start_with_a_key_that_others_may_read(files: CertificateFiles, tmp_path: Path) -> None:
    files.key.chmod(0o640)
    names = {"MRM_TLS_CERTIFICATE": str(files.certificate), "MRM_TLS_KEY": str(files.key)}
    settings = environment(tmp_path, database_url=NOWHERE, issuer="http://127.0.0.1:1", **names)
    done = subprocess.run([sys.executable, "-m", "intake"], env=settings, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "The file of MRM_TLS_KEY is open to others than its owner; chmod 600 it." in done.stderr
    assert "Traceback" not in done.stderr
    assert str(tmp_path) not in done.stderr


async def test_a_process_serves_https_and_takes_a_renewed_certificate_when_told(files: CertificateFiles, tmp_path: Path) -> None:
    names = {"MRM_TLS_CERTIFICATE": str(files.certificate), "MRM_TLS_KEY": str(files.key)}
    settings = environment(tmp_path, database_url=NOWHERE, issuer="http://127.0.0.1:1", **names)
    async with intake_process(settings, tmp_path / "log", trust=files.client()) as (url, process):
        assert await serial_served(url) == files.serial
        renewed = write_certificate(tmp_path)
        process.send_signal(signal.SIGHUP)
        for _ in range(200):
            if await serial_served(url) == renewed.serial:
                break
            await asyncio.sleep(0.05)
        assert await serial_served(url) == renewed.serial
        renewed.key.chmod(0o644)
        process.send_signal(signal.SIGHUP)
        for _ in range(200):
            if b"certificate_not_reloaded" in await asyncio.to_thread((tmp_path / "log").read_bytes):
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the log says nothing of a key that others may read")
        assert await serial_served(url) == renewed.serial
        async with httpx.AsyncClient(base_url=url, verify=renewed.client()) as client:
            assert (await client.get("/healthz")).status_code == 200


async def test_without_a_certificate_a_hangup_ends_nothing(tmp_path: Path) -> None:
    settings = environment(tmp_path, database_url=NOWHERE, issuer="http://127.0.0.1:1")
    async with intake_process(settings, tmp_path / "log") as (url, process):
        process.send_signal(signal.SIGHUP)
        async with httpx.AsyncClient(base_url=url) as client:
            for _ in range(5):
                assert (await client.get("/healthz")).status_code == 200
        assert process.poll() is None
