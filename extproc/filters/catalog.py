"""`/v1/models`: what this key may use, answered without asking any engine."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import msgspec

from extproc.decision import Decision, Deny, Reply
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.request import Fact, Identity, Kind, Operation, Request


class Card(msgspec.Struct, frozen=True):
    """One entry, in OpenAI's shape."""

    id: str
    created: int = 0
    """Not known for a name that points at engines; OpenAI's SDKs need the member."""
    object: Literal["model"] = "model"
    owned_by: str = "headgate"


class Cards(msgspec.Struct, frozen=True):
    data: Sequence[Card]
    object: Literal["list"] = "list"


class Catalog(Filter):
    """`names` are the public names, in the order of the policy."""

    name: ClassVar[str] = "catalog"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity})

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    async def decide(self, request: Request) -> Decision:
        operation, identity = request.fact(Operation), request.fact(Identity)
        if operation.kind is not Kind.MODELS:
            return request
        usable = [name for name in self._names if identity.may_use(name)]
        if not operation.item:
            return Reply(msgspec.json.encode(Cards([Card(name) for name in usable])))
        if operation.item in usable:
            return Reply(msgspec.json.encode(Card(operation.item)))
        return Deny(Reason.UNKNOWN_MODEL, f"The model {operation.item[:256]!r} does not exist.")
