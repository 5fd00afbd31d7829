"""A whole service process without a broker, and certificates to serve with."""

import asyncio
import os
import resource
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chassis.sealing.keys import generate_signing_key
from chassis.sealing.trust import Trust
from local_stack.ports import free_ports
from support.rates import UNHURRIED


@dataclass(frozen=True)
class CertificateFiles:
    """A self-signed certificate for 127.0.0.1 and its key."""

    certificate: Path
    key: Path
    serial: int

    def client(self) -> ssl.SSLContext:
        """Trust this certificate and no other."""
        return ssl.create_default_context(cafile=str(self.certificate))


def write_certificate(folder: Path, *, password: bytes | None = None) -> CertificateFiles:
    """Make a certificate; one that is in the folder already is replaced."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    serial = x509.random_serial_number()
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=serial)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = CertificateFiles(folder / "certificate.pem", folder / "key.pem", serial)
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.unlink(missing_ok=True)
    files.key.touch(mode=0o600)
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return files


def environment(folder: Path, *, database_url: str, issuer: str, **changes: str) -> dict[str, str]:
    """Return the settings of an intake process with keys of its own and no broker."""
    keys = folder / "keys"
    signing = generate_signing_key("intake")
    signing.save(keys)
    Trust().with_signing(signing.public).save(folder / "trust.json")
    return {
        "PATH": os.environ["PATH"],
        "MRM_DATABASE_URL": database_url,
        "MRM_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "MRM_KAFKA_USERNAME": "intake",
        "MRM_KAFKA_PASSWORD": "unused",
        "MRM_KEYS_DIR": str(keys),
        "MRM_TRUST_FILE": str(folder / "trust.json"),
        "MRM_ISSUER": issuer,
        **{f"MRM_{name.upper()}": str(value) for name, value in UNHURRIED.items()},
        **changes,
    }


@asynccontextmanager
async def intake_process(
    settings: dict[str, str], log: Path, *, open_files: int | None = None, trust: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run `python -m intake` until it answers; yields its address. `open_files` is the soft limit that it is started with."""
    (port,) = free_ports(1)
    url = f"{'http' if trust is None else 'https'}://127.0.0.1:{port}"

    def limit() -> None:
        if open_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - it runs beside us
            [sys.executable, "-m", "intake"],
            env={**settings, "MRM_PORT": str(port)},
            stdout=output,
            stderr=output,
            preexec_fn=limit,  # noqa: PLW1509 - no threads that matter
        )
    try:
        async with httpx.AsyncClient(base_url=url, verify=trust or True, timeout=10) as client:
            while True:
                assert process.poll() is None, f"intake ended by itself; {log} says why"
                try:
                    if (await client.get("/healthz")).status_code == httpx.codes.OK:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        yield url, process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
