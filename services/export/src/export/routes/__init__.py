"""Export's HTTP API: frozen snapshots, submissions from draft to signed, and the signed bundle."""

from fastapi import APIRouter

from export.routes import snapshots, submissions

ROUTERS: tuple[APIRouter, ...] = (snapshots.router, submissions.router)
