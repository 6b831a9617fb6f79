"""Conditions: what the policy refuses for who asks, what for, and when."""

from collections.abc import Callable
from typing import ClassVar

from extproc.access import Access, Asked, tell
from extproc.decision import Decision, Deny
from extproc.dialects.lengths import find_length
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.request import Fact, Identity, Model, Operation, Prompt, Request


class Authorize(Filter):
    """A condition that cannot be decided is a fault, and refuses like any fault."""

    name: ClassVar[str] = "authorize"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Prompt, Model})

    def __init__(self, access: Access, clock: Callable[[], float]) -> None:
        self._access = access
        self._clock = clock

    async def decide(self, request: Request) -> Decision:
        if not self._access.has_vetoes:
            return request
        known = tell(request.fact(Identity), describe(request), self._clock())
        veto = self._access.find_veto(known)
        if veto is None:
            return request
        return Deny(Reason.ACCESS_DENIED, f"{veto.message} (rule: {veto.name})")


def describe(request: Request) -> Asked:
    """Say what is asked for, as the client sent it: parameter rules come later."""
    kind, prompt, model = request.fact(Operation).kind, request.fact(Prompt), request.fact(Model)
    length = find_length(kind, prompt.document)
    return Asked(
        operation=kind.value,
        model=model.name,
        track=model.track,
        stream=prompt.stream,
        max_tokens=length[1] if length else 0,
        client_ip=request.client_ip,
    )
