"""`/v1/models`: what this key may use, answered without asking any engine."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import msgspec

from extproc.decision import Decision, Deny, Reply
from extproc.filter import Filter
from extproc.filters.resolve import look_up
from extproc.request import Fact, Identity, Kind, Model, Operation, Request


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
    """`models` are found by public name and by alias alike, in the order of the policy."""

    name: ClassVar[str] = "catalog"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity})

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models
        self._names = list(dict.fromkeys(model.name for model in models.values()))

    async def decide(self, request: Request) -> Decision:
        operation, identity = request.fact(Operation), request.fact(Identity)
        if operation.kind is not Kind.MODELS:
            return request
        if not operation.item:
            cards = [Card(name) for name in self._names if identity.may_use(name)]
            return Reply(msgspec.json.encode(Cards(cards)))
        found = look_up(self._models, identity, operation.item)
        return found if isinstance(found, Deny) else Reply(msgspec.json.encode(Card(found.name)))
