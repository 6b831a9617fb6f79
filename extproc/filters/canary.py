"""A mark in the operator's own words, and whether an answer tells it.

It stands behind whatever puts those words in front of a prompt.
"""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from extproc.decision import Decision
from extproc.filter import AnswerMode, BodyTransform, Filter
from extproc.filters.attacks import Told
from extproc.policy.firewall import CanaryPolicy, FirewallPolicy
from extproc.request import Fact, Identity, Kind, Model, Operation, Prompt, Request
from extproc.safety.injection.canary import make_canary, plant, watching
from extproc.safety.scope import rules_for, tenant_rules

MUTE = frozenset({Kind.EMBEDDINGS, Kind.COUNT_TOKENS})
"""Operations whose answers are numbers."""


class Marked(Fact, frozen=True):
    """There is a canary in the system prompt; established by `Canary`."""

    canary: str
    cuts: bool


class Canary(Filter):
    """Puts a mark into system prompts, and watches answers for it. `keys` of each entry that has one."""

    name: ClassVar[str] = "canary"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Model, Prompt})

    def __init__(self, entries: Sequence[FirewallPolicy], told: Told) -> None:
        self._entries = entries
        self._told = told

    def wish(self, request: Request) -> AnswerMode:
        """Only tenants with a canary pay for it."""
        if request.fact(Operation).kind in MUTE:
            return AnswerMode.NONE
        is_marked = any(each.canary for each in tenant_rules(self._entries, request))
        return AnswerMode.STREAMED if is_marked else AnswerMode.NONE

    async def decide(self, request: Request) -> Decision:
        canary, kind = self._find(request), request.fact(Operation).kind
        if canary is None or kind in MUTE:
            return request
        mark = make_canary(canary.key.reveal(), request.fact(Identity).tenant)
        prompt = request.fact(Prompt)
        members = plant(kind, prompt.document, mark)
        if not members:
            return request
        return request.having(prompt.editing(**members)).having(
            Marked(mark, canary.on_leak == "cut")
        )

    def _find(self, request: Request) -> CanaryPolicy | None:
        return next((each.canary for each in rules_for(self._entries, request)), None)

    def transform(self, request: Request) -> BodyTransform | None:
        marked = request.find(Marked)
        if marked is None:
            return None
        leaked = partial(self._leaked, request.keeping(Identity, Model), marked)
        kind = request.fact(Operation).kind
        return watching(kind, marked.canary, cuts=marked.cuts, leaked=leaked)

    def _leaked(self, request: Request, marked: Marked) -> None:
        outcome = "cut" if marked.cuts else "tagged"
        if self._told.meter:
            self._told.meter.attacked("leak", "assistant", outcome)
        self._told.write(request, "firewall.leaked", outcome, {})
