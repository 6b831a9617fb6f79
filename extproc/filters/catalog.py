"""`/v1/models`: what this credential may use, answered without asking any engine."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import msgspec

from extproc.access import Access, Asked, tell
from extproc.decision import Decision, Deny, Reply
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.filters.resolve import look_up
from extproc.request import Fact, Identity, Kind, Operation, Request
from extproc.routing.tracks import Tracks


class Card(msgspec.Struct, frozen=True):
    """One entry, in OpenAI's shape."""

    id: str
    created: int = 0
    """Not known for a name that points at engines; OpenAI's SDKs need the member."""
    object: Literal["model"] = "model"
    owned_by: str = "headgate"


class Cards(msgspec.Struct, frozen=True):
    data: list[Card]
    object: Literal["list"] = "list"


class Catalog(Filter):
    """`models` are found by public name and by alias alike, in the order of the policy. A model is
    shown if it may be used for any operation, and if no condition refuses operation `models` on
    it. The authority is not asked: it judges requests."""

    name: ClassVar[str] = "catalog"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity})

    def __init__(
        self, models: Mapping[str, Tracks], access: Access, clock: Callable[[], float]
    ) -> None:
        self._models = models
        self._names = list(dict.fromkeys(tracks.name for tracks in models.values()))
        self._access = access
        self._clock = clock

    async def decide(self, request: Request) -> Decision:
        operation = request.fact(Operation)
        if operation.kind is not Kind.MODELS:
            return request
        if not operation.item:
            cards = [Card(name) for name in self._names if self._shows(request, name)]
            return Reply(msgspec.json.encode(Cards(cards)))
        found = look_up(self._models, operation.item)
        if isinstance(found, Deny):
            return found
        if not self._shows(request, found.name):
            message = f"You may not use the model {operation.item!r}."
            return Deny(Reason.MODEL_FORBIDDEN, message, "model")
        return Reply(msgspec.json.encode(Card(found.name)))

    def _shows(self, request: Request, model: str) -> bool:
        identity = request.fact(Identity)
        if not self._access.admits(identity, model):
            return False
        if not self._access.has_vetoes:
            return True
        asked = Asked(Kind.MODELS.value, model, client_ip=request.client_ip)
        return self._access.find_veto(tell(identity, asked, self._clock())) is None
