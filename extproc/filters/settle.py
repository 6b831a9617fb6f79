"""The journal: what leaves for an engine is written down first, so that no end is ever missed.

Last in the pipeline. The end itself comes by Envoy's access log to the settle process (`ledger/`);
a journal entry without an end becomes a row flagged `unsettled`.
"""

from typing import ClassVar

from extproc.decision import Decision
from extproc.filter import Filter, OnFault
from extproc.ports import Journal
from extproc.request import Fact, Identity, Model, Payload, Request, Route


class Settle(Filter):
    """A full disk must not stop the service: the access log is the second witness, so a fault here
    is logged and counted, and the request goes on."""

    name: ClassVar[str] = "settle"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Identity, Model, Payload, Route})
    on_fault: OnFault = "continue"

    def __init__(self, journal: Journal, version: str) -> None:
        self._journal = journal
        self._version = version

    async def decide(self, request: Request) -> Decision:
        self._journal.record(request, self._version)
        return request
