"""The API surface: which operation is asked for, or 404 in the client's own error shape."""

from typing import ClassVar
from urllib.parse import unquote

from extproc.decision import Decision, Deny
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.request import Fact, Kind, Operation, Request

OPERATIONS = {
    "/v1/chat/completions": ("POST", Kind.CHAT),
    "/v1/completions": ("POST", Kind.COMPLETIONS),
    "/v1/embeddings": ("POST", Kind.EMBEDDINGS),
    "/v1/models": ("GET", Kind.MODELS),
}
MODEL_PREFIX = "/v1/models/"
JSON_TYPES = ("application/json", "")
"""A missing content type is taken for JSON: OpenAI takes it too, and the parser decides anyway."""


def find(method: str, path: str) -> Operation | Deny:
    """Match exactly: no case folding, no trailing slash. Only a model's id is decoded, because SDKs
    send the slash in it as %2F."""
    item = path.removeprefix(MODEL_PREFIX)
    if item != path and item:
        wanted, operation = "GET", Operation(Kind.MODELS, unquote(item))
    elif path in OPERATIONS:
        wanted, kind = OPERATIONS[path]
        operation = Operation(kind)
    else:
        return Deny(Reason.UNKNOWN_URL, f"Unknown request URL: {method[:20]} {path[:200]}.")
    if method != wanted:
        message = f"{path[:200]} takes {wanted}, not {method[:20]}."
        return Deny(Reason.METHOD, message, allow=wanted)
    return operation


class Surface(Filter):
    name: ClassVar[str] = "surface"
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Operation})

    async def decide(self, request: Request) -> Decision:
        found = find(request.method, request.path)
        if isinstance(found, Deny):
            return found
        if found.kind is not Kind.MODELS and (denial := check_body_headers(request)):
            return denial
        return request.having(found)


def check_body_headers(request: Request) -> Deny | None:
    """Refuse what could not be read: we neither guess charsets nor unpack."""
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() not in JSON_TYPES:
        message = f"Content-Type must be application/json, not {content_type[:100]}."
        return Deny(Reason.MEDIA_TYPE, message, "content-type")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        message = f"Content-Encoding {encoding[:100]} is not supported; send the JSON as it is."
        return Deny(Reason.MEDIA_TYPE, message, "content-encoding")
    return None
