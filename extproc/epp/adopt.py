"""Whatever comes is a request to this pool: what can be read of it is read, nothing is refused for it.

A path that we do not know, a GET, a body that is no JSON: the gateway wants an endpoint for each. Where
it is a prompt in a shape that we know, filters behind this one find it as `Prompt`.
"""

import re
from typing import ClassVar

import msgspec

from extproc.decision import Decision, Deny
from extproc.dialects import shapes
from extproc.filter import Filter
from extproc.filters.surface import find
from extproc.request import Body, Fact, Identity, Model, Operation, Payload, Prompt, Request

REWRITE_HEADER = "x-gateway-model-name-rewrite"
"""Endpoint Picker Protocol's peers: the name that engines are to be asked for. Set by routes."""

NOBODY = Identity(tenant="", key_id="")
"""The gateway in front knows who asks."""

MOST_LETTERS = 256
"""Of a model's name, as it is known here: anybody may write anything there, and it is told to all who pick, and
shown on terminals."""
OBJECT = re.compile(rb"\s*\{")
read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
read_text = msgspec.json.Decoder(str).decode


class Adopt(Filter):
    """`pool` is the one that this picker is for."""

    name: ClassVar[str] = "adopt"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Body})
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Identity, Model, Payload})

    def __init__(self, pool: str) -> None:
        self._pool = pool

    async def decide(self, request: Request) -> Decision:
        raw, prompt = request.fact(Body).raw, None
        operation = find(request.method, request.path)
        if isinstance(operation, Operation):
            request = request.having(operation)
            prompt = read_prompt(operation, raw)
        name = prompt.model if prompt is not None else read_model(raw)
        wanted = request.headers.get(REWRITE_HEADER, "")
        if name and wanted:
            raw, name = rename(raw, wanted), wanted
            prompt = prompt and prompt.editing(model=name)
        if prompt is not None:
            request = request.having(prompt)
        known = name if len(name) <= MOST_LETTERS and name.isprintable() else ""
        model = Model(name=known, pool=self._pool, served_as=known)
        return request.having(NOBODY).having(model).having(Payload(raw))


def read_prompt(operation: Operation, raw: bytes) -> Prompt | None:
    """Read a prompt in the shape of its API; None where it is none."""
    if operation.kind not in shapes.SHAPES:
        return None
    prompt = shapes.read(operation.kind, raw)
    return None if isinstance(prompt, Deny) else prompt


def read_model(raw: bytes) -> str:
    """Read the model's name of a body in a shape of its own; empty where there is none."""
    if not OBJECT.match(raw):  # the quick way out for images and sounds
        return ""
    try:
        return read_text(read_members(raw)["model"])
    except (KeyError, RecursionError, UnicodeDecodeError, msgspec.MsgspecError):
        return ""


def rename(raw: bytes, model: str) -> bytes:
    """Put another model's name into a body that has one. All other members stay, byte for byte."""
    members = read_members(raw)
    members["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(members)
