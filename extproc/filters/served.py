"""Does the engine have this operation at all: else it would answer 404 in words of its own."""

from collections.abc import Mapping
from typing import ClassVar

from engines.base import Engine
from extproc.decision import Decision, Deny
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.request import Fact, Model, Operation, Request


class Served(Filter):
    """`engines` tells the kind of engine behind each pool."""

    name: ClassVar[str] = "served"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Model})

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines

    async def decide(self, request: Request) -> Decision:
        model, operation = request.fact(Model), request.fact(Operation).kind.value
        if operation in self._engines[model.pool].operations:
            return request
        message = f"The model {model.name!r} does not serve {operation}."
        return Deny(Reason.OPERATION, message, "model")
