"""Whoever sent too large a share of long prompts may send short ones only, for a while."""

from math import ceil
from typing import ClassVar

from extproc.counting.counted import Counted
from extproc.decision import Decision, Deny, Outcome
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.filters.banned import NO_RETRY, say_time
from extproc.guards.base import Barred
from extproc.guards.guard import Guard
from extproc.guards.rules import PromptRule
from extproc.guards.subjects import name_identity
from extproc.request import Fact, Identity, Request


class LongPrompts(Filter):
    """Stands behind `count`, and before `limits`: what is refused takes nothing from them."""

    name: ClassVar[str] = "long_prompts"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Identity, Counted})

    def __init__(self, rule: PromptRule, guard: Guard) -> None:
        self._rule = rule
        self._guard = guard

    async def decide(self, request: Request) -> Decision:
        tokens = request.fact(Counted).prompt_tokens
        if tokens <= self._rule.tokens or not self._guard.view.any(Barred.LONG_PROMPTS):
            return request
        known = self._guard.view.find(Barred.LONG_PROMPTS, name_identity(request.fact(Identity)))
        if known is None:
            return request
        self._guard.meter.barred(known.case)
        if known.case.shadow:
            return request
        message = (
            f"This prompt has {tokens} tokens. Because too many of your prompts were long, those above"
            f" {self._rule.tokens} tokens are refused until {say_time(known.until_s)}."
        )
        return Deny(
            Reason.LONG_PROMPT,
            message,
            retry_after_s=max(1, ceil(self._guard.view.left_s(known))),
            headers=NO_RETRY,
        )

    async def settle(self, outcome: Outcome) -> None:
        self._guard.prompted(self._rule, outcome)
