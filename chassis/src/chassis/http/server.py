"""How the edge listens: uvicorn without a banner, without an access log, with limits on connections that say nothing."""

import uvicorn
from fastapi import FastAPI


def server_config(app: FastAPI, *, host: str, port: int) -> uvicorn.Config:
    """Return the configuration of the HTTP server; proxy headers are not believed."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=20,
        limit_concurrency=2_000,
        backlog=1_024,
    )
