"""The header by which conformance tests choose endpoints. Whoever may send it may aim at one engine, so
it counts only where it was asked for; at anything that is no engine it never does."""

from collections.abc import Callable
from typing import ClassVar

from extproc.decision import Decision
from extproc.filter import Filter
from extproc.request import Request, Subset
from extproc.routing.subset import is_complete, is_named

SELECTION_HEADER = "test-epp-endpoint-selection"
"""`ip[,ip]`: the name that the conformance tests of the Gateway API inference extension use."""


class Narrow(Filter):
    """Takes the header for a subset, within the one that the data plane has named."""

    name: ClassVar[str] = "narrow"

    def __init__(self, knows: Callable[[str], bool]) -> None:
        """`knows` tells engines from others: a data plane may hear of a new one before we do and name
        it, a client may not."""
        self._knows = knows

    async def decide(self, request: Request) -> Decision:
        said = request.headers.get(SELECTION_HEADER)
        if said is None:
            return request
        wanted = tuple(each for text in said.split(",") if (each := text.strip()))
        given = request.find(Subset)
        if given is None:
            wanted = tuple(each for each in wanted if not is_complete(each) or self._knows(each))
        else:
            wanted = tuple(each for each in given.endpoints if is_named(each, wanted))
        return request.having(Subset(wanted))
