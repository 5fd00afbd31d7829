"""Verification over HTTP, one module per noun."""

from typing import Final

from fastapi import APIRouter

from verification.routes import cases, decisions, dockets, links, queue, records, situations

ROUTERS: Final[tuple[APIRouter, ...]] = tuple(module.router for module in (situations, queue, cases, decisions, dockets, links, records))
