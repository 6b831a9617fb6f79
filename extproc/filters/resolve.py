"""The model table: the name a client used, and the track it asked for -> what serves it."""

from collections.abc import Mapping
from typing import ClassVar

from extproc.access import Access
from extproc.decision import Decision, Deny
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.request import Fact, Identity, Kind, Model, Operation, Prompt, Request
from extproc.routing.tracks import STRATEGIES, Strategy, Tracks

STRATEGY_HEADER = "x-routing-strategy"
DEFAULT_STRATEGY: Strategy = "ab_test"
"""Weights are there to be followed; who asks for nothing is part of the experiment."""


class Resolve(Filter):
    """`models` are found by public name and by alias alike."""

    name: ClassVar[str] = "resolve"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Prompt})
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Model})

    def __init__(self, models: Mapping[str, Tracks], access: Access) -> None:
        self._models = models
        self._access = access

    async def decide(self, request: Request) -> Decision:
        strategy = read_strategy(request.headers)
        if isinstance(strategy, Deny):
            return strategy
        prompt, identity = request.fact(Prompt), request.fact(Identity)
        operation = right_to(request.fact(Operation).kind)
        tracks = look_up(self._models, prompt.model)
        if isinstance(tracks, Deny):
            return tracks
        if not self._access.admits(identity, tracks.name, operation):
            return forbid(prompt.model, operation)
        model = tracks.choose(strategy, who(identity))
        if model is None:
            message = f"The model {prompt.model!r} has no track {strategy!r} at the moment."
            return Deny(Reason.NO_TRACK, message, STRATEGY_HEADER)
        return request.having(prompt.editing(model=model.served_as)).having(model)


def read_strategy(headers: Mapping[str, str]) -> Strategy | Deny:
    given = headers.get(STRATEGY_HEADER, DEFAULT_STRATEGY)
    for strategy in STRATEGIES:
        if given == strategy:
            return strategy
    message = f"X-Routing-Strategy is {', '.join(STRATEGIES[:-1])} or {STRATEGIES[-1]}."
    return Deny(Reason.INVALID_REQUEST, message, STRATEGY_HEADER)


def look_up(models: Mapping[str, Tracks], name: str) -> Tracks | Deny:
    """Find what a client means by a name."""
    found = models.get(name)
    if found is None:
        message = f"The model {name[:256]!r} does not exist."
        return Deny(Reason.UNKNOWN_MODEL, message, "model")
    return found


def forbid(name: str, operation: str) -> Deny:
    message = f"You may not use the model {name!r} for {operation}."
    return Deny(Reason.MODEL_FORBIDDEN, message, "model")


def right_to(kind: Kind) -> str:
    """Name the operation that somebody must have a right to: whoever may send a message may count
    its tokens first."""
    return Kind.MESSAGES.value if kind is Kind.COUNT_TOKENS else kind.value


def who(identity: Identity) -> str:
    """Whom a track sticks to: a person if we know one, else the key."""
    return f"{identity.tenant}/{identity.user or identity.key_id}"
