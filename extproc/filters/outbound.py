"""Answers that tell personal data which the caller did not send: masked, cut or counted.

It stands before what masks requests, so it knows what the caller sent, and sees answers as he will:
values of his that were masked are back in their places, and are his to read.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import msgspec

from audit.record import AuditLog
from extproc.decision import Decision
from extproc.dialects.body import Document
from extproc.dialects.ending import ending
from extproc.dialects.texts import TangledError, find_texts
from extproc.filter import AnswerMode, BodyTransform, Filter, OnFault
from extproc.filters.audited import make_record
from extproc.filters.pii import MUTE
from extproc.policy.models import Policy
from extproc.ports import PiiMeter
from extproc.request import Fact, Identity, Kind, Model, Operation, Prompt, Request
from extproc.safety.outbound import Look, Outbound, OutboundAction, OutboundRule
from extproc.safety.pii.begun import Openings
from extproc.safety.pii.engine import Engine, shipped
from extproc.safety.pii.mask import canonical
from extproc.safety.pii.own import Own
from extproc.safety.scope import rules_for, tenant_rules


class SentDocument(Fact, frozen=True):
    """What the caller sent, before anything of it was masked."""

    document: Document


class OutboundScreen(msgspec.Struct, frozen=True):
    """What looking takes."""

    rules: Sequence[OutboundRule]
    engine: Engine
    own: Own | None = None
    openings: Openings | None = None


class OutboundCheck(Filter):
    name: ClassVar[str] = "outbound"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Model, Prompt})

    def __init__(
        self,
        screen: OutboundScreen,
        on_fault: OnFault = "deny",
        meter: PiiMeter | None = None,
        audit: AuditLog | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._screen = screen
        self.on_fault = on_fault
        self._meter = meter
        self._audit = audit
        self._clock = clock

    def wish(self, request: Request) -> AnswerMode:
        """Who is only masked need not have the engine stopped."""
        if request.fact(Operation).kind in MUTE:
            return AnswerMode.NONE
        actions = {rule.action for rule in tenant_rules(self._screen.rules, request)}
        if "cut" in actions:
            return AnswerMode.DUPLEX
        return AnswerMode.STREAMED if actions else AnswerMode.NONE

    async def decide(self, request: Request) -> Decision:
        if request.fact(Operation).kind in MUTE or not rules_for(self._screen.rules, request):
            return request
        return request.having(SentDocument(request.fact(Prompt).document))

    def transform(self, request: Request) -> BodyTransform | None:
        sent = request.find(SentDocument)
        if sent is None:
            return None
        rules = rules_for(self._screen.rules, request)
        kind = request.fact(Operation).kind
        allowed = Sent(kind, sent.document)
        tell = partial(self._tell, request.keeping(Identity, Model), set())
        screen = self._screen
        look = Look(screen.engine, screen.own, rules, allowed.has, tell, screen.openings)
        cuts = any(rule.action == "cut" for rule in rules) and request.fact(Prompt).stream
        return Outbound(kind, look, ending(kind, 0) if cuts else None)

    def _tell(self, request: Request, told: set[str], kind: str, action: OutboundAction) -> None:
        """Count a value; write down the first of each type. Raises: OSError, and nothing goes out."""
        if self._meter:
            self._meter.found(kind, f"outbound_{action}", 1)
        if self._audit is None or kind in told:
            return
        told.add(kind)
        self._audit.write(
            make_record(
                request, self._clock(), f"outbound.{SAID[action]}", SAID[action], {"type": kind}
            )
        )


SAID: dict[OutboundAction, str] = {"mask": "masked", "cut": "cut", "tag": "tagged"}


class Sent:
    """What the caller sent, to look values up in. Read when the first one is found."""

    def __init__(self, kind: Kind, document: Document) -> None:
        self._kind = kind
        self._document = document
        self._texts: str | None = None
        self._written: dict[str, str] = {}

    def has(self, kind: str, value: str) -> bool:
        """Whether it is anywhere in his texts, however it is written."""
        if value in (texts := self._read()):
            return True
        if kind not in self._written:
            self._written[kind] = canonical(kind, texts)
        return canonical(kind, value) in self._written[kind]

    def _read(self) -> str:
        if self._texts is None:
            try:
                found = find_texts(self._kind, self._document)
            except TangledError:
                found = []
            self._texts = "\n".join(each.text for each in found)
        return self._texts


def check_answers(
    policy: Policy,
    meter: PiiMeter | None,
    audit: AuditLog | None,
    clock: Callable[[], float],
) -> Sequence[Filter]:
    """Look through answers, as far as the policy has rules."""
    outbound = policy.outbound
    if not outbound.rules:
        return ()
    rules, own = outbound.compiled_rules(), policy.pii.own()
    # How values of one's own begin is not known.
    known = None if own else Openings(frozenset[str]().union(*(each.types for each in rules)))
    screen = OutboundScreen(rules, shipped(), own, known)
    return (OutboundCheck(screen, outbound.on_fault or "deny", meter, audit, clock),)
