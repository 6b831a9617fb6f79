"""Body bytes -> `Prompt`: parsed once, and refused with the name of the field that is wrong."""

from typing import ClassVar

from extproc.decision import Decision, Deny
from extproc.dialects import shapes
from extproc.filter import Filter
from extproc.request import Body, Fact, Operation, Prompt, Request


class Read(Filter):
    name: ClassVar[str] = "read"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Body})
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Prompt})

    async def decide(self, request: Request) -> Decision:
        prompt = shapes.read(request.fact(Operation).kind, request.fact(Body).raw)
        return prompt if isinstance(prompt, Deny) else request.having(prompt)
