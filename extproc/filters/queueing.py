"""Waiting for room instead of being refused, as one policy wants it. Used by `filters/limits.py`."""

from collections.abc import Sequence
from math import ceil

import msgspec

from extproc.decision import Deny
from extproc.limits.base import Charge, Ticket, Verdict
from extproc.limits.patience import patience_s, read_client_s
from extproc.limits.reach import DEFAULT, Priority
from extproc.limits.waiting import Asked, Turn, Waiting, Why
from extproc.request import Body, Identity, Model, Operation, Request

REST_S = 4.0
"""What is left of a decision behind the wait: the last look at the counters, and the filters after it.
Envoy gives any decision 5 s, and stretched ones 30 s at most (`dataplane/gateway.py`), of which a limit
may take 25."""


class Queue:
    """Who waits how, under one policy."""

    def __init__(self, waiting: Waiting, priorities: Sequence[Priority]) -> None:
        self._waiting = waiting
        self._priorities = priorities

    def ticket(self, request: Request) -> Ticket:
        """Say in which class a request would wait: the first that is for it."""
        identity, model = request.fact(Identity), request.fact(Model)
        kind = request.fact(Operation).kind
        found = (each for each in self._priorities if each.covers(identity, model, kind))
        priority = next(found, DEFAULT)
        worker = self._waiting.worker
        return Ticket(worker, priority.name, priority.weight, identity.tenant, joins=False)

    def ask(
        self, request: Request, charges: Sequence[Charge], lease_s: float, ticket: Ticket
    ) -> Asked:
        return Asked(
            request.settle_key,
            tuple(charges),
            lease_s,
            msgspec.structs.replace(ticket, joins=True),
            read_client_s(request.headers),
            len(request.fact(Body).raw),
        )

    def refuses(self, asked: Asked, verdict: Verdict) -> Why | None:
        """Say why it had better not wait, if so."""
        return self._waiting.refuses(asked, verdict)

    async def wait(self, asked: Asked, verdict: Verdict) -> Turn:
        return await self._waiting.wait(asked, verdict)


def most_s(asked: Asked, verdict: Verdict) -> float:
    """How long the decision may take."""
    return min(asked.client_s, patience_s(verdict)) + REST_S


def shed(deny: Deny, why: Why, waited_s: float = 0.0) -> Deny:
    """Say that it was not a matter of room alone."""
    said = {"x-headgate-queue": "expired" if why == "expired" else "shed"}
    waited = {"x-headgate-queue-ms": str(ceil(waited_s * 1000))} if waited_s else {}
    headers = {**deny.headers, **said, **waited}
    return msgspec.structs.replace(deny, message=f"{deny.message} {SAID[why]}", headers=headers)


SAID: dict[Why, str] = {
    "late": "It would have to wait longer than it may.",
    "full": "Too many wait already.",
    "expired": "It has waited as long as it may.",
    "draining": "This part of the gateway is being stopped.",
    "gone": "",
}
