"""A certificate authority for tests: it signs what a server should show, and what it should not."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM
DAY = timedelta(days=1)


class Authority:
    """An authority of its own, its certificate in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("authority")
        certificate = self._build(self._name, self._key.public_key(), ends=DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self._pem = certificate.sign(self._key, hashes.SHA256()).public_bytes(PEM).decode()
        file.write_text(self._pem)

    def sign(self, host: str, *, ends: timedelta = DAY) -> tuple[str, str]:
        """Return a certificate chain for a host name or address, ending so long from now, and its key; both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        certificate = self._build(_named(host), key.public_key(), ends=ends).add_extension(
            x509.SubjectAlternativeName([name]), critical=False
        )
        chain = certificate.sign(self._key, hashes.SHA256()).public_bytes(PEM).decode() + self._pem
        return chain, key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()

    def _build(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, ends: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(
            issuer_name=self._name, subject_name=subject, public_key=key, serial_number=x509.random_serial_number()
        )
        return builder.not_valid_before(now - 30 * DAY).not_valid_after(now + ends)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
