"""Know how a prompt begins, where there is one."""

from typing import ClassVar

from extproc.decision import Decision
from extproc.filter import Filter, OnFault
from extproc.filters.prefix import Prefixing
from extproc.request import Fact, Model, Prompt, Request


class Glance(Filter):
    """`Prefixing` for requests of which perhaps nothing could be read: those are picked for without."""

    name: ClassVar[str] = "glance"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Model})
    on_fault: OnFault = "continue"

    def __init__(self, prefixing: Prefixing) -> None:
        self._prefixing = prefixing

    async def decide(self, request: Request) -> Decision:
        if request.find(Prompt) is None:
            return request
        return await self._prefixing.decide(request)
