"""Records of requests: who asked what of which model, and if the policy wants it, in which words.

It stands behind whatever masks and refuses, so what it writes down is what would leave. Words are
written down only where every type of personal data is masked, taken out or refused.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar, Literal

import msgspec

from audit.record import AuditLog, Member
from extproc.decision import Decision
from extproc.dialects.texts import TangledError, Text
from extproc.filter import Filter, OnFault
from extproc.filters.audited import make_record
from extproc.filters.texts import read_texts
from extproc.request import Fact, Identity, Model, Operation, Prompt, Request
from extproc.routing.chance import share
from extproc.safety.pii.rules import ALL, Choice, Rule
from extproc.safety.scope import rules_for

MOST_CHARS = 32_768
"""Of all texts of a record: some ten pages."""

_encode = msgspec.json.Encoder().encode


class Wanted(msgspec.Struct, frozen=True):
    """What the policy says."""

    tenants: Collection[str] = ()
    sample: float = 0.0
    content: Literal["none", "masked"] = "none"
    rules: Sequence[Rule] = ()
    """Of personal data; none where a fault of what masks lets requests pass."""


class AuditRequests(Filter):
    name: ClassVar[str] = "audit"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Model, Prompt})

    def __init__(
        self,
        wanted: Wanted,
        audit: AuditLog,
        clock: Callable[[], float] = time.time,
        on_fault: OnFault = "deny",
    ) -> None:
        self.on_fault = on_fault
        self._wanted = wanted
        self._audit = audit
        self._clock = clock

    async def decide(self, request: Request) -> Decision:
        """Raises: OSError when it cannot be written down."""
        who = request.fact(Identity)
        if who.tenant in self._wanted.tenants:
            why = "tenant"
        elif self._wanted.sample and share(request.settle_key, self.name) < self._wanted.sample:
            why = "sample"
        else:
            return request
        members = about(request, why)
        if self._wanted.content == "masked":
            members |= await self._content(request)
        self._audit.write(
            make_record(request, self._clock(), "request.received", "passed", members)
        )
        return request

    async def _content(self, request: Request) -> Mapping[str, Member]:
        rules = rules_for(self._wanted.rules, request)
        if not rules or any("tag" in rule.actions.values() for rule in rules):
            return {"content_left_out": "unmasked"}
        try:
            _, texts = await read_texts(request)
        except TangledError:
            return {"content_left_out": "tangled"}
        return lay_out(texts, Choice(rules))


def about(request: Request, why: str) -> dict[str, Member]:
    """Say what else there is to know of a request."""
    who, model = request.fact(Identity), request.fact(Model)
    return {
        "operation": request.fact(Operation).kind.value,
        "key_id": who.key_id,
        "project": who.project,
        "track": model.track,
        "version": model.version,
        "stream": request.fact(Prompt).stream,
        "why": why,
    }


def lay_out(texts: Sequence[Text], choice: Choice) -> dict[str, Member]:
    """Write texts as JSON, as far as there is room; those of speakers whose words are not masked are
    left out."""
    said: list[tuple[str, str]] = []
    left, missing, is_cut = MOST_CHARS, 0, False
    for text in texts:
        if choice.action(ALL, text.speaker) is None:
            missing += 1
            continue
        if left > 0:
            said.append((text.speaker, text.text[:left]))
        is_cut = is_cut or len(text.text) > left
        left -= min(len(text.text), left)
    members: dict[str, Member] = {"content": _encode(said).decode()}
    if missing:
        members["content_left_out"] = f"{missing} texts of others"
    if is_cut:
        members["content_cut"] = True
    return members
