"""What OpenAPI says beyond what FastAPI finds out by itself."""

from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from sidecars.common.errors import ErrorBody

Document = dict[str, Any]

_SAID = {
    400: "A parameter makes no sense; `param` names it.",
    403: "Nobody says who asks.",
    503: "Too many questions at once, or the ledger is away. `Retry-After` says when to try again.",
    504: "The question takes too long.",
}
ERRORS: Mapping[int | str, Document] = {
    status: {"model": ErrorBody, "description": said} for status, said in _SAID.items()
}

ABOUT = """
What the ledger has of your tenant, or of your project when your key is bound to one. Send the key
you send requests with. Every error has the shape of OpenAI's.
"""
KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
}


def answers(model: type[object]) -> dict[int | str, Document]:
    """Describe the answers of a path whose rows are `model`'s, or CSV."""
    return {
        200: {"model": model, "content": {"text/csv": {"schema": {"type": "string"}}}},
        304: {"description": "It is what `If-None-Match` names."},
        **ERRORS,
    }


def describe(app: FastAPI) -> None:
    """Have `app` publish its document with our additions."""

    def document() -> Document:
        if app.openapi_schema is None:
            app.openapi_schema = complete(
                get_openapi(
                    title=app.title, version=app.version, description=ABOUT, routes=app.routes
                )
            )
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to do this


def complete(found: Document) -> Document:
    """Add how to say who asks. Take out FastAPI's 422: bad parameters get 400 here."""
    for path in cast("Mapping[str, Mapping[str, Document]]", found["paths"]).values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    components = cast("dict[str, Document]", found["components"])
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    components["securitySchemes"] = KEYS
    found["security"] = [{name: []} for name in KEYS]
    return found
