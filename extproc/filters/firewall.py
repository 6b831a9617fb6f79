"""Attacks on the model: refused, told, taken out, or sent to a model that can bear them.

It stands before anything is sent anywhere, a smaller model of a cascade included, and before the operator's
own words are put in front. `canary.py` stands behind those.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import ClassVar

import msgspec

from extproc.decision import Decision, Deny
from extproc.dialects.place import Place, write_place
from extproc.dialects.putback import with_texts
from extproc.dialects.texts import TangledError, Text, find_unreadable
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.filters.attacks import Told, tell
from extproc.filters.canary import MUTE, Canary
from extproc.filters.fallback import Others, may_move, may_repeat, switch
from extproc.filters.standins import others
from extproc.filters.texts import read_texts
from extproc.policy.firewall import Action, FirewallPolicy
from extproc.policy.models import Policy
from extproc.request import Fact, Identity, Model, Operation, Prompt, Request, Scalar
from extproc.safety.injection.firewall import Firewall as Rules
from extproc.safety.injection.firewall import Verdict
from extproc.safety.injection.strip import REMOVED, strip
from extproc.safety.scope import rules_for

LONG_CHARS = 12_000
"""Of all texts: from here on they are looked through in a thread. So many take 0.3 to 1 ms."""
DOCUMENTS = frozenset({"tool", "other"})


class Attacked(Fact, frozen=True):
    """A request was found to be an attack, and goes on all the same; without this fact, none was."""

    action: Action
    verdict: Verdict
    version: str
    """Of the rules."""

    def witness(self) -> Mapping[str, Scalar]:
        return tell(self.action, self.verdict, self.version)


class Entry(msgspec.Struct, frozen=True):
    """One of the policy, with its rules compiled."""

    policy: FirewallPolicy
    rules: Rules

    @property
    def tenants(self) -> Collection[str]:
        return self.policy.tenants

    @property
    def models(self) -> Collection[str]:
        return self.policy.models


class Firewall(Filter):
    """`others` finds the models that requests are sent to instead."""

    name: ClassVar[str] = "firewall"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Model, Prompt})

    def __init__(self, entries: Sequence[Entry], others: Others, told: Told) -> None:
        self._entries = entries
        self._others = others
        self._told = told

    async def decide(self, request: Request) -> Decision:
        entry = next(iter(rules_for(self._entries, request)), None)
        if entry is None:
            return request
        kind, prompt = request.fact(Operation).kind, request.fact(Prompt)
        name = find_unreadable(kind, prompt.document)
        if name and kind not in MUTE and entry.policy.action != "tag":
            message = f"'{name}' cannot be looked through for attacks: send text."
            return Deny(Reason.INJECTION, message, name)
        try:
            request, texts = await read_texts(request)
            verdict = await judge(entry.rules, texts)
        except TangledError as exc:
            return Deny(Reason.INVALID_REQUEST, f"The request cannot be looked through: {exc}.")
        except Exception:
            if entry.policy.on_fault == "continue":
                return request
            raise
        return await self._act(request, entry, verdict) if verdict.flagged else request

    async def _act(self, request: Request, entry: Entry, verdict: Verdict) -> Decision:
        action = entry.policy.action
        if all(each.text.speaker in DOCUMENTS for each in verdict.flagged):
            action = entry.policy.tool_action or action
        moved = self._move(request, entry.policy.to) if action == "route" else None
        if action == "route" and moved is None:
            action = "deny"
        version = entry.rules.version
        self._told.tell(request, action, verdict, version)
        if action == "deny":
            return refuse(verdict, version)
        if action == "strip":
            request = await strip_all(request, entry.rules, verdict)
        return (moved or request).having(Attacked(action, verdict, version))

    def _move(self, request: Request, to: str | None) -> Request | None:
        """Send it to the other model; None where that cannot be, or its owner may not use it."""
        if to is None or not may_move(request):
            return None
        if request.fact(Model).name == to:
            return request
        other = self._others.find(request, to)
        if other is None:
            return None
        elsewhere = other.pool in self._others.elsewhere
        return (
            switch(request, other, "firewall") if may_repeat(request, elsewhere=elsewhere) else None
        )


async def judge(rules: Rules, texts: Sequence[Text]) -> Verdict:
    """Judge here, or in a thread what would hold others up."""
    if sum(len(text.text) for text in texts) > LONG_CHARS:
        return await asyncio.to_thread(rules.judge, texts)
    return rules.judge(texts)


def refuse(verdict: Verdict, version: str) -> Deny:
    """Name the place, and not the text."""
    place = write_place(verdict.flagged[0].text.place)
    message = f"What stands in '{place}' looks like an attempt to give the model other orders."
    # Under a name of its own: who attacks is not told, by a header, how near the limit that was.
    why = tell("deny", verdict, version)["firewall"]
    return Deny(Reason.INJECTION, message, place, witness={"firewall_denied": why})


async def strip_all(request: Request, rules: Rules, verdict: Verdict) -> Request:
    """Take the attacks out. If parts together still are one, all of them go."""
    prompt = request.fact(Prompt)
    changed: dict[Place, str] = {}
    for each in verdict.flagged:
        text = each.text
        if not each.parts:
            work = partial(strip, text.text, text.speaker, rules)
            is_long = len(text.text) > LONG_CHARS
            changed[text.place] = await asyncio.to_thread(work) if is_long else work()
    for each in verdict.flagged:
        left = " ".join(changed.get(part.place, part.text) for part in each.parts)
        if rules.is_attack(left, each.text.speaker):
            changed |= {part.place: REMOVED for part in each.parts}
    document = with_texts(prompt.document, changed)
    return request.having(msgspec.structs.replace(prompt, document=document))


def stand_guard(policy: Policy, told: Told) -> tuple[Sequence[Filter], Sequence[Filter]]:
    """Make the filters: what judges requests, and what marks system prompts."""
    entries = policy.firewall
    if not entries:
        return (), ()
    guards = (Firewall([Entry(each, each.firewall()) for each in entries], others(policy), told),)
    is_marked = any(each.canary for each in entries)
    return guards, (Canary(entries, told),) if is_marked else ()
