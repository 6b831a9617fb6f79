"""Errors in the shape that the gateway's own have: OpenAI's.

{"error": {"message": "...", "type": "...", "param": "since", "code": "invalid_request"}}
"""

from collections.abc import Mapping
from enum import Enum
from typing import cast

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

MAX_SHOWN = 200
"""Characters of a message that may come from the client."""


class Code(Enum):
    """Every refusal of a sidecar: `code`, HTTP status, `type`. The first ones are the gateway's too."""

    INVALID_REQUEST = ("invalid_request", 400, "invalid_request_error")
    UNKNOWN_URL = ("unknown_url", 404, "invalid_request_error")
    METHOD = ("method_not_allowed", 405, "invalid_request_error")
    FAULT = ("internal_error", 500, "server_error")
    NO_IDENTITY = ("no_identity", 403, "permission_error")
    BUSY = ("service_busy", 503, "server_error")
    UNAVAILABLE = ("ledger_unavailable", 503, "server_error")
    TOO_SLOW = ("query_timeout", 504, "server_error")

    @property
    def code(self) -> str:
        return self.value[0]

    @property
    def status(self) -> int:
        return self.value[1]

    @property
    def type(self) -> str:
        return self.value[2]


class Refusal(Exception):  # noqa: N818 - a refusal is no error of ours
    """Answers the request. `param` is the parameter at fault."""

    def __init__(
        self, code: Code, message: str, param: str | None = None, *, retry_after_s: int = 0
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s


class Error(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorBody(BaseModel):
    """The body of every answer from 400 up."""

    error: Error


def error_response(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    code = refusal.code
    body = {
        "message": refusal.message,
        "type": code.type,
        "param": refusal.param,
        "code": code.code,
    }
    own = {"cache-control": "no-store", **(headers or {})}
    if refusal.retry_after_s:
        own["retry-after"] = str(refusal.retry_after_s)
    content = msgspec.json.encode({"error": body})
    return Response(content, code.status, own, media_type="application/json")


def install(app: FastAPI) -> None:
    """Let every error of `app` have our shape, its framework's too."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)


def _refused(_request: Request, refusal: Exception) -> Response:
    return error_response(cast("Refusal", refusal))


def _invalid(_request: Request, fault: Exception) -> Response:
    """Name the first parameter at fault."""
    first = cast("RequestValidationError", fault).errors()[0]
    place = [str(part) for part in cast("tuple[object, ...]", first["loc"])]
    name = place[1] if len(place) > 1 else None
    said = "there is no such parameter" if first["type"] == "extra_forbidden" else first["msg"]
    message = f"{name}: {said}" if name else str(said)
    return error_response(Refusal(Code.INVALID_REQUEST, message[:MAX_SHOWN], name))


def _http(request: Request, fault: Exception) -> Response:
    raised = cast("HTTPException", fault)
    if raised.status_code == Code.METHOD.status:
        message = f"{request.url.path[:MAX_SHOWN]} takes GET or HEAD."
        return error_response(Refusal(Code.METHOD, message), {"allow": "GET, HEAD"})
    message = f"Unknown request URL: {request.url.path[:MAX_SHOWN]}."
    return error_response(Refusal(Code.UNKNOWN_URL, message))


def _fault(_request: Request, _fault: Exception) -> Response:
    """Starlette raises it again behind us, and uvicorn logs it."""
    return error_response(Refusal(Code.FAULT, "The service failed on this request."))
