"""Whoever is banned goes no further: an address before anything else, a key or user once it is known.

What a ban refuses does not count as a refusal: a ban ends when its time has come, however often the
client asks meanwhile. Then the client is counted from nothing.
"""

from datetime import UTC, datetime
from math import ceil
from typing import ClassVar

from extproc.decision import Decision, Deny, Outcome
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.guards.base import BY_HAND, Barred
from extproc.guards.guard import Guard
from extproc.guards.rules import RefusalRule
from extproc.guards.subjects import USER, kind_of, name_address, name_identity
from extproc.request import Fact, Identity, Request

NO_RETRY = {"x-should-retry": "false"}
"""OpenAI's SDKs heed it: without it they would ask twice more, in vain."""


class BannedAddress(Filter):
    """Stands first. Counts, at the end of each request, whether it was refused."""

    name: ClassVar[str] = "banned_address"

    def __init__(self, rule: RefusalRule, guard: Guard) -> None:
        self._rule = rule
        self._guard = guard

    async def decide(self, request: Request) -> Decision:
        if not self._guard.view.any(Barred.REQUESTS):
            return request
        said = f"This address ({request.client_ip})"
        return judge(self._guard, request, name_address(request.client_ip), said)

    async def settle(self, outcome: Outcome) -> None:
        self._guard.refused(self._rule, outcome)


class BannedKey(Filter):
    """Stands behind `identify`."""

    name: ClassVar[str] = "banned_key"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Identity})

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def decide(self, request: Request) -> Decision:
        if not self._guard.view.any(Barred.REQUESTS):
            return request
        subject = name_identity(request.fact(Identity))
        said = "This user" if kind_of(subject) == USER else "This key"
        return judge(self._guard, request, subject, said)


def judge(guard: Guard, request: Request, subject: str, who: str) -> Decision:
    """Refuse it if its subject is banned. `who` begins the sentence for the client."""
    known = guard.view.find(Barred.REQUESTS, subject)
    if known is None:
        return request
    guard.meter.barred(known.case)
    if known.case.shadow:
        return request
    why = "" if known.case.why == BY_HAND else ": too many of its requests were refused"
    message = f"{who} is banned until {say_time(known.until_s)}{why}."
    return Deny(
        Reason.BANNED,
        message,
        retry_after_s=max(1, ceil(guard.view.left_s(known))),
        headers=NO_RETRY,
    )


def say_time(epoch_s: float) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
