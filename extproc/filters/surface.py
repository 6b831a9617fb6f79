"""The API surface: which operation is asked for, or 404 in the client's own error shape."""

from typing import ClassVar
from urllib.parse import unquote

from extproc.budget import MAX_BODY_BYTES
from extproc.decision import Decision, Deny
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.request import Fact, Kind, Operation, Request
from extproc.sidecars import find_sidecar

OPERATIONS = {
    "/v1/chat/completions": ("POST", Kind.CHAT),
    "/v1/completions": ("POST", Kind.COMPLETIONS),
    "/v1/embeddings": ("POST", Kind.EMBEDDINGS),
    "/v1/responses": ("POST", Kind.RESPONSES),
    "/v1/messages": ("POST", Kind.MESSAGES),
    "/v1/messages/count_tokens": ("POST", Kind.COUNT_TOKENS),
    "/v1/models": ("GET", Kind.MODELS),
}
MODEL_PREFIX = "/v1/models/"
WITHOUT_BODY = frozenset({Kind.MODELS, Kind.USAGE})
"""Whatever body comes with these is read by nobody."""
JSON_TYPES = ("application/json", "")
"""A missing content type is taken for JSON: OpenAI takes it too, and the parser decides anyway."""


def find(method: str, path: str) -> Operation | Deny:
    """Match exactly: no case folding, no trailing slash. Only a model's id is decoded, because SDKs
    send the slash in it as %2F."""
    methods: tuple[str, ...]
    item = path.removeprefix(MODEL_PREFIX)
    if item != path and item:
        methods, operation = ("GET",), Operation(Kind.MODELS, unquote(item))
    elif path in OPERATIONS:
        wanted, kind = OPERATIONS[path]
        methods, operation = (wanted,), Operation(kind)
    elif sidecar := find_sidecar(path):
        methods, operation = sidecar.methods, Operation(sidecar.kind)
    else:
        return Deny(Reason.UNKNOWN_URL, f"Unknown request URL: {method[:20]} {path[:200]}.")
    if method not in methods:
        message = f"{path[:200]} takes {' or '.join(methods)}, not {method[:20]}."
        return Deny(Reason.METHOD, message, allow=", ".join(methods))
    return operation


class Surface(Filter):
    name: ClassVar[str] = "surface"
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Operation})

    async def decide(self, request: Request) -> Decision:
        found = find(request.method, request.path)
        if isinstance(found, Deny):
            return found
        if found.kind not in WITHOUT_BODY and (denial := check_body_headers(request)):
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
    length = request.headers.get("content-length", "0")
    if len(length) > 15 or (length.isdecimal() and int(length) > MAX_BODY_BYTES):
        # Envoy would refuse it too, but only once that many bytes have come.
        message = f"The request body is larger than {MAX_BODY_BYTES} bytes."
        return Deny(Reason.TOO_LARGE, message, "content-length")
    return None
