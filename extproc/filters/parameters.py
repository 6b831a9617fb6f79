"""Rules for parameters: what the operator forbids, sets, bounds and says to the system first."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from extproc.decision import Decision, Deny
from extproc.dialects.body import Document
from extproc.dialects.lengths import (
    ANY_LENGTH,
    LENGTHS,
    UNSAID,
    count_answers,
    find_length,
)
from extproc.dialects.system import BETWEEN, find_retelling, prepend_system
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.filters.resolve import right_to
from extproc.policy.catalog import Bounds, ParameterRule
from extproc.request import Fact, Identity, Kind, Model, Operation, Prompt, Request

PRIORITY = "priority"
"""A place in the queue of vLLM and SGLang, which take opposite ends of it for the first."""


class Parameters(Filter):
    """`rules` of each model by its public name, in order: later ones see what earlier ones did."""

    name: ClassVar[str] = "parameters"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Prompt, Model})

    def __init__(self, rules: Mapping[str, Sequence[ParameterRule]]) -> None:
        self._rules = rules

    async def decide(self, request: Request) -> Decision:
        kind, groups = request.fact(Operation).kind, request.fact(Identity).groups
        rules = [
            rule
            for rule in self._rules.get(request.fact(Model).name, ())
            if is_for(rule, groups, right_to(kind))
        ]
        prompt = request.fact(Prompt)
        if denial := check_priority(rules, prompt.document):
            return denial
        if not rules:
            return request
        document = rewrite(rules, kind, prompt)
        if isinstance(document, Deny):
            return document
        return request.having(
            msgspec.structs.replace(prompt, document=document, n=count_answers(kind, document))
        )


def is_for(rule: ParameterRule, groups: frozenset[str], operation: str) -> bool:
    return (not rule.groups or not groups.isdisjoint(rule.groups)) and (
        not rule.operations or operation in rule.operations
    )


def check_priority(rules: Sequence[ParameterRule], document: Document) -> Deny | None:
    """Refuse to let a client choose its place in the engine's queue, which serves all tenants. A rule
    that clamps it says how far that may go."""
    value = document.get(PRIORITY)
    if value is None or value == 0 or any(PRIORITY in rule.clamp for rule in rules):
        return None
    message = (
        f"{PRIORITY!r} is not allowed for this model: who goes first is not for clients to say."
    )
    return Deny(Reason.FORBIDDEN_PARAMETER, message, PRIORITY)


def rewrite(rules: Sequence[ParameterRule], kind: Kind, prompt: Prompt) -> Document | Deny:
    """Apply the rules to a copy of the body. What is forbidden is judged first, by what the client
    sent, not by what another rule sets."""
    for rule in rules:
        if denial := check_forbidden(rule, prompt):
            return denial
    document = dict(prompt.document)
    for rule in rules:
        if kind is not Kind.COUNT_TOKENS:  # nothing is generated there
            set_defaults(rule, kind, document)
        if denial := clamp(rule, kind, document):
            return denial
    if said := [rule.system_prompt for rule in rules if rule.system_prompt]:
        prepended = prepend_system(kind, document, BETWEEN.join(said))
        if prepended and (name := find_retelling(prompt.document)):
            message = f"{name!r} would tell the system prompt: it is not allowed for this model."
            return Deny(Reason.FORBIDDEN_PARAMETER, message, name)
        document.update(prepended)
    return document


def check_forbidden(rule: ParameterRule, prompt: Prompt) -> Deny | None:
    """Find what may not be sent. A null is not sent, and neither is `stream: false`, which clients
    write for its own sake."""
    for name in rule.forbid:
        sent = prompt.document.get(name) is not None
        if name == "stream":
            sent = prompt.stream
        if sent:
            message = f"The parameter {name!r} is not allowed for this model."
            return Deny(Reason.FORBIDDEN_PARAMETER, message, name)
    return None


def set_defaults(rule: ParameterRule, kind: Kind, document: dict[str, Any]) -> None:
    """Set what the client left open. The length of an answer has several names: where one of them
    is given, none is set, and it is set by the name that this operation has for it."""
    for name, value in rule.defaults.items():
        if name not in ANY_LENGTH:
            if document.get(name) is None:
                document[name] = value
        elif kind in LENGTHS and find_length(kind, document) is None:
            document[name if name in LENGTHS[kind] else LENGTHS[kind][0]] = value


def clamp(rule: ParameterRule, kind: Kind, document: dict[str, Any]) -> Deny | None:
    """Move numbers into their bounds, whatever name the client used for the length."""
    for name, bounds in rule.clamp.items():
        names = LENGTHS.get(kind, ()) if name in ANY_LENGTH else (name,)
        for each in names:
            value = document.get(each)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                # Engines would read "100" as 100.
                return Deny(Reason.INVALID_REQUEST, f"{each!r} must be a number.", each)
            document[each] = move(value, bounds)
        if name in ANY_LENGTH and names and find_length(kind, document) is None:
            own = name if name in names else names[0]
            bound_unsaid(own, UNSAID.get(kind), bounds, document)
    return None


def bound_unsaid(name: str, unsaid: int | None, bounds: Bounds, document: dict[str, Any]) -> None:
    """Bound an answer whose length the client left open: else asking for nothing would get more
    than asking for too much."""
    if unsaid is None:
        if bounds.max is not None:
            document[name] = int(bounds.max)
    elif (moved := move(unsaid, bounds)) != unsaid:
        document[name] = moved


def move(value: float, bounds: Bounds) -> float:
    """Return the nearest number within the bounds; a whole one stays whole."""
    moved = value
    if bounds.max is not None and value > bounds.max:
        moved = bounds.max
    if bounds.min is not None and value < bounds.min:
        moved = bounds.min
    return int(moved) if isinstance(value, int) and moved == int(moved) else moved
