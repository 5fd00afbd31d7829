"""TLS to the broker: whom a service believes to be its broker, and why a certificate is not accepted."""

import asyncio
import ssl
from contextlib import suppress
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Final

from aiokafka.conn import collect_hosts

from chassis.settings import LOOPBACK, ServiceSettings

HANDSHAKE_SECONDS: Final = 5.0
_NOT_NOW: Final = frozenset({9, 10})
_ANOTHER_HOST: Final = frozenset({62, 64})
"""Codes of OpenSSL (X509_V_ERR_…): not yet valid, expired; other host name, other address."""


class UnusableAuthoritiesError(Exception):
    """The authorities of the broker cannot be used; the text says what to do and names no path."""


class Refusal(Enum):
    """Why the broker's certificate is not accepted, in words for readiness."""

    AUTHORITY = "its certificate comes from no authority in the file of MRM_KAFKA_TLS_CA"
    HOST = "its certificate is not for the host that MRM_KAFKA_BOOTSTRAP names"
    TIME = "its certificate has expired or is not valid yet"


def broker_tls(settings: ServiceSettings) -> ssl.SSLContext | None:
    """Return with what every connection to the broker is made, None for plain ones; raises UnusableAuthoritiesError.

    The file is read once: authorities that come later are believed after a restart.
    """
    return None if settings.kafka_tls_ca is None else _believing(settings.kafka_tls_ca)


def is_in_the_clear(settings: ServiceSettings) -> bool:
    """Say whether what goes to the broker leaves this machine without TLS."""
    return settings.kafka_tls_ca is None and any(host not in LOOPBACK for host, _, _ in collect_hosts(settings.kafka_bootstrap))


@cache
def _believing(authorities: Path) -> ssl.SSLContext:
    """Believe these authorities and none of the system's, check the host's name, and speak TLS 1.2 or newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    try:
        context.load_verify_locations(cadata=authorities.read_text("ascii"))
    except OSError as error:
        if isinstance(error, ssl.SSLError):
            raise _no_certificate() from None
        raise UnusableAuthoritiesError(
            "The file of MRM_KAFKA_TLS_CA cannot be read; name an existing one that this user may read."
        ) from None
    except ValueError:
        raise _no_certificate() from None
    if not context.get_ca_certs():
        raise _no_certificate()
    return context


def _no_certificate() -> UnusableAuthoritiesError:
    return UnusableAuthoritiesError(
        "The file of MRM_KAFKA_TLS_CA must hold the certificates, in PEM, of the authorities that sign the broker's certificate."
    )


async def find_refusal(settings: ServiceSettings) -> Refusal | None:
    """Shake hands with the brokers named in the settings; return why a certificate is not accepted, None if that is not what is wrong."""
    context = broker_tls(settings)
    for host, port, _ in collect_hosts(settings.kafka_bootstrap) if context is not None else ():
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                _, writer = await asyncio.open_connection(host, port, ssl=context)
        except ssl.SSLCertVerificationError as error:
            return _refusal_of(error.verify_code)
        except (OSError, TimeoutError):
            continue
        writer.close()
        with suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), HANDSHAKE_SECONDS)
    return None


def _refusal_of(code: int) -> Refusal:
    if code in _NOT_NOW:
        return Refusal.TIME
    return Refusal.HOST if code in _ANOTHER_HOST else Refusal.AUTHORITY
