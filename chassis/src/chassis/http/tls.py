"""HTTPS without a proxy in front: the certificate that a service serves with, read at the start and again when it is told to."""

import ssl
from pathlib import Path

from chassis.settings import ServiceSettings


class UnusableCertificateError(Exception):
    """The certificate cannot be served with; the text says what to do and names no path."""


class Certificate:
    """A certificate chain and its key as the files hold them."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both; raises UnusableCertificateError."""
        self._files = certificate, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """What the server listens with: TLS 1.2 or newer."""
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        self.reload()

    def reload(self) -> None:
        """Read the files again, for connections from now on; raises UnusableCertificateError and goes on with the old ones."""
        certificate, key = self._files
        _check_readable(certificate, "MRM_TLS_CERTIFICATE")
        _check_readable(key, "MRM_TLS_KEY")
        if key.stat().st_mode & 0o077:
            raise UnusableCertificateError("The file of MRM_TLS_KEY is open to others than its owner; chmod 600 it.")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
            self.context.load_cert_chain(certificate, key, password=_no_password)
        except (ssl.SSLError, ValueError, OSError):
            raise UnusableCertificateError(
                "MRM_TLS_CERTIFICATE must be a certificate chain and MRM_TLS_KEY its unencrypted private key, both in PEM."
            ) from None


def certificate_of(settings: ServiceSettings) -> Certificate | None:
    """Return the certificate that the settings name, None if they name none; raises UnusableCertificateError."""
    if settings.tls_certificate is None and settings.tls_key is None:
        return None
    if settings.tls_certificate is None or settings.tls_key is None:
        raise UnusableCertificateError("Give both MRM_TLS_CERTIFICATE and MRM_TLS_KEY, or neither for a proxy that ends TLS.")
    return Certificate(settings.tls_certificate, settings.tls_key)


def _check_readable(path: Path, variable: str) -> None:
    try:
        path.read_bytes()
    except OSError:
        raise UnusableCertificateError(f"The file of {variable} cannot be read; name an existing one that this user may read.") from None


def _no_password() -> str:
    """Refuse an encrypted key instead of asking for its password on a terminal that nobody watches."""
    raise ValueError("encrypted")
