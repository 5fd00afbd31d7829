"""What the operator sees of a service's deliveries: the account of conservation, what is parked, and putting it through again."""

from fastapi import APIRouter

from chassis.service import Service


def router(service: Service) -> APIRouter:
    """Return the operator's routes of a service."""
    return APIRouter(tags=["operations"])
