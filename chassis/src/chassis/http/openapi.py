"""The OpenAPI document of a service: what FastAPI knows of the routes, and every refusal that the edge can answer with."""

from collections.abc import Iterator
from typing import Any, Final, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chassis.http.access import action_of, is_open
from chassis.http.bodies import BODY_MODEL, BODY_MODELS
from chassis.http.problems import ProblemDocument, problem_responses

_ALWAYS: Final = (400, 408, 429, 431, 500, 503)
_REF: Final = "#/components/schemas/{model}"


def routes_of(app: FastAPI) -> Iterator[tuple[RouteContext, APIRoute]]:
    """Walk the routes of an app: where each is reached, and the route itself."""
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute):
            yield context, context.original_route


def describe(app: FastAPI) -> dict[str, Any]:
    """Make the OpenAPI document of an app."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    models: list[type[BaseModel]] = [ProblemDocument]
    for context, route in routes_of(app):
        for method in sorted(route.methods or ()):
            operation = document["paths"].get(context.path, {}).get(method.lower())
            if operation is not None:
                models += _complete(operation, route)
    schemas.update(_schemas(models))
    schemas["Problem"] = schemas.pop("ProblemDocument")
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    return document


def _complete(operation: dict[str, Any], route: APIRoute) -> list[type[BaseModel]]:
    """Add what the edge adds to one operation; returns the models its body needs."""
    responses: dict[str, Any] = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    statuses = set(_ALWAYS)
    if not is_open(route.dependant):
        statuses |= {401, 403, 404}
        operation["security"] = [{"token": []}]
        operation["x-mrm-action"] = action_of(route.dependant)
    if operation.get("parameters"):
        statuses |= {404, 422}
    body = operation.get("requestBody")
    if body is not None:
        statuses |= {409, 413, 415, 422}
    elif not (route.methods or set()) <= {"GET", "HEAD"}:
        statuses |= {409, 413}
    for status, response in problem_responses(*sorted(statuses)).items():
        if status == 503 and "503" in responses:
            responses["503"]["content"].update(response["content"])
            responses["503"].setdefault("headers", response["headers"])
        responses.setdefault(str(status), response)
    model = None if body is None else body["content"]["application/json"]["schema"].get(BODY_MODEL)
    if body is None or model is None:
        return []
    body["content"]["application/json"]["schema"] = {"$ref": _REF.format(model=model)}
    return [BODY_MODELS[model]]


def _schemas(models: list[type[BaseModel]]) -> dict[str, Any]:
    unique = list(dict.fromkeys(models))
    _, definitions = models_json_schema([(model, "validation") for model in unique], ref_template=_REF)
    return cast("dict[str, Any]", definitions["$defs"])
