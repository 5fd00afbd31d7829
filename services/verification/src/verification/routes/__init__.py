"""Verification over HTTP, one module per noun."""

from typing import Final

from fastapi import APIRouter

from verification.routes import cases, decisions, dockets, emergency, links, queue, records, situations

ROUTERS: Final[tuple[APIRouter, ...]] = tuple(
    module.router for module in (situations, queue, cases, emergency, decisions, dockets, links, records)
)
