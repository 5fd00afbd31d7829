"""The floor under intake: HTTP, validation, one seal and one acknowledged send, with libraries alone. No ledger, no identity, no audit.

python floor.py PORT BOOTSTRAP PASSWORD_FILE TOPIC
"""

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from aiokafka import AIOKafkaProducer
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.incident import IncidentReport

SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def main(port: int, bootstrap: str, password: str, topic: str) -> None:
    """Serve until told to stop."""
    key = hpke.MLKEM768X25519PrivateKey(mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()).public_key()
    producer: AIOKafkaProducer

    async def accept(request: Request) -> Response:
        body = await request.body()
        report = IncidentReport.model_validate_json(body)
        data_key, nonce = os.urandom(32), os.urandom(12)
        sealed = SUITE.encrypt(data_key, key, b"floor") + nonce + AESGCM(data_key).encrypt(nonce, body, None)
        await producer.send_and_wait(topic, sealed, key=report.key.bytes)
        return Response(b"{}", status_code=202, media_type="application/json")

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        nonlocal producer
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_plain_username="admin",
            sasl_plain_password=password,
            acks="all",
            enable_idempotence=True,
        )
        await producer.start()
        yield
        await producer.stop()

    app = Starlette(routes=[Route("/v1/incidents", accept, methods=["POST"])], lifespan=lifespan)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_text("utf-8").strip(), sys.argv[4])
