"""An authority of the operator's own: Open Policy Agent, or whatever speaks its API."""

from collections.abc import Callable
from typing import ClassVar

from extproc.access import tell
from extproc.decision import Decision, Deny
from extproc.errors import Reason
from extproc.filter import Filter, OnFault
from extproc.filters.authorize import describe
from extproc.ports import Authority
from extproc.request import Fact, Identity, Model, Operation, Prompt, Request


class Consult(Filter):
    """Asks for each request, and waits for the answer within the authority's own deadline. An
    authority that does not answer, or not sensibly, is a fault: `on_fault` says what follows."""

    name: ClassVar[str] = "consult"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Prompt, Model})

    def __init__(self, authority: Authority, clock: Callable[[], float], on_fault: OnFault) -> None:
        self.on_fault = on_fault
        self._authority = authority
        self._clock = clock

    async def decide(self, request: Request) -> Decision:
        known = tell(request.fact(Identity), describe(request), self._clock())
        ruling = await self._authority.ask(known)
        if ruling.allows:
            return request
        return Deny(Reason.ACCESS_DENIED, ruling.reason or "Not allowed by the authority.")
