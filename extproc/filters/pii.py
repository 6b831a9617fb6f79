"""Personal data in a request: masked, taken out, counted, or a reason to refuse.

Whatever is to leave is looked through, so this stands before whatever counts, caches or sends: what is
masked here nobody behind has seen. What was masked is put back into the answer, for this caller alone.

A request of which no rule is, is not touched. A long one is looked through in a thread.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar, cast

import msgspec

from audit.record import AuditLog, Record
from extproc.decision import Decision, Deny
from extproc.dialects.body import Document
from extproc.dialects.texts import TangledError, Text, find_unreadable
from extproc.errors import DetectorError, Reason
from extproc.filter import AnswerMode, BodyTransform, Filter, OnFault
from extproc.filters.audited import make_record
from extproc.filters.texts import read_texts
from extproc.ports import Detector, PiiMeter
from extproc.request import Fact, Identity, Kind, Model, Operation, Prompt, Request, Scalar
from extproc.safety.expressions import FloodError
from extproc.safety.masked import Masked
from extproc.safety.pii.engine import Engine, Said
from extproc.safety.pii.finding import Finding
from extproc.safety.pii.judge import Counts, member_of, treat, write_counts
from extproc.safety.pii.mask import Masker
from extproc.safety.pii.own import Own
from extproc.safety.pii.rules import Choice, Rule
from extproc.safety.restore import restoring
from extproc.safety.scope import rules_for, tenant_rules

LONG_CHARS = 65_536
"""Of all texts: from here on they are looked through in a thread."""
MANY_PLACES = 300
"""Where something may be: 2 ms, and 12 for what is made to take long. A page has ten."""
MUTE = frozenset({Kind.EMBEDDINGS, Kind.COUNT_TOKENS})
"""Operations whose answers are numbers."""


class Screened(Fact, frozen=True):
    """What was found in a request; without this fact, nothing was."""

    counts: Counts

    def witness(self) -> Mapping[str, Scalar]:
        return {"pii": write_counts(self.counts)}


class Screen(msgspec.Struct, frozen=True):
    """What looking takes: everything that a policy says of personal data, compiled."""

    rules: Sequence[Rule]
    engine: Engine
    own: Own | None = None
    key: str = ""
    detector: Detector | None = None
    names: Sequence[str] = ()
    """The types that the detector finds."""
    detector_on_fault: OnFault = "deny"


class Pii(Filter):
    name: ClassVar[str] = "pii"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Model, Prompt})

    def __init__(
        self,
        screen: Screen,
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
        """Only tenants with a rule that masks pay for it, and where an answer has text."""
        if request.fact(Operation).kind in MUTE:
            return AnswerMode.NONE
        rules = tenant_rules(self._screen.rules, request)
        masks = any("mask" in rule.actions.values() for rule in rules)
        return AnswerMode.STREAMED if masks else AnswerMode.NONE

    async def decide(self, request: Request) -> Decision:
        choice = Choice(rules_for(self._screen.rules, request))
        if not choice.is_any:
            return request
        kind, prompt = request.fact(Operation).kind, request.fact(Prompt)
        if choice.touches and (name := find_unreadable(kind, prompt.document)):
            message = f"'{name}' cannot be looked through for personal data: send text."
            return Deny(Reason.PERSONAL, message, name)
        try:
            request, texts = await read_texts(request)
            found = await self._look(texts, choice)
        except (TangledError, FloodError) as exc:
            return Deny(Reason.INVALID_REQUEST, f"The request cannot be looked through: {exc}.")
        except DetectorError:
            message = "What looks for names does not answer."
            return Deny(Reason.NO_DETECTOR, message, retry_after_s=2)
        return await self._judge(request, texts, found, choice) if any(found) else request

    async def _judge(
        self,
        request: Request,
        texts: Sequence[Text],
        found: Sequence[Sequence[Finding]],
        choice: Choice,
    ) -> Decision:
        masker = Masker(self._screen.key, request.fact(Identity).tenant)
        prompt = request.fact(Prompt)
        work = partial(treat, texts, found, choice, masker, prompt.document)
        treated = await asyncio.to_thread(work) if is_much(texts, found) else work()
        if not treated.counts:
            return request
        self._tell(request, treated.counts)
        if treated.denied:
            return treated.denied
        request = request.having(Screened(treated.counts))
        if treated.document is None:
            return request
        request = request.having(msgspec.structs.replace(prompt, document=treated.document))
        if not masker.values:
            return request
        counts = treated.counts.items()
        masked = {kind: number for (kind, action), number in counts if action == "mask"}
        return request.having(Masked(masker.values, masked))

    async def _look(self, texts: Sequence[Text], choice: Choice) -> Sequence[Sequence[Finding]]:
        """Raises: FloodError, DetectorError."""
        found = await search_texts(self._screen.engine, self._screen.own, texts)
        named = await self._find_names(texts, choice)
        return [[*some, *more] for some, more in zip(found, named, strict=True)]

    async def _find_names(
        self, texts: Sequence[Text], choice: Choice
    ) -> Sequence[Sequence[Finding]]:
        found: list[Sequence[Finding]] = [()] * len(texts)
        if self._screen.detector is None:
            return found
        wanted = [
            index
            for index, text in enumerate(texts)
            if any(choice.action(name, text.speaker) for name in self._screen.names)
        ]
        if not wanted:
            return found
        try:
            named = await self._screen.detector.find([texts[index].text for index in wanted])
        except DetectorError:
            if self._screen.detector_on_fault == "deny":
                raise
            return found
        for index, each in zip(wanted, named, strict=True):
            found[index] = each
        return found

    def _tell(self, request: Request, counts: Counts) -> None:
        if self._meter:
            for (kind, action), number in counts.items():
                self._meter.found(kind, action, number)
        if self._audit is None:
            return
        denied = any(action == "deny" for _, action in counts)
        members = {f"{kind}.{action}": number for (kind, action), number in counts.items()}
        outcome = "denied" if denied else write_counts(counts)
        what = "pii.denied" if denied else "pii.masked"
        self._audit.write(self._record(request, what, outcome, members))

    def transform(self, request: Request) -> BodyTransform | None:
        masked, kind = request.find(Masked), request.fact(Operation).kind
        if masked is None or kind in MUTE:
            return None
        in_json = answers_in_json(request.fact(Prompt).document)
        begin = partial(self._tell_unmasked, request.keeping(Identity, Model, Masked))
        return restoring(kind, masked.values, in_json=in_json, begin=begin)

    def _tell_unmasked(self, request: Request) -> None:
        """Raises: OSError, and nothing is put back: nobody is shown a value unrecorded."""
        if self._audit:
            counts = request.fact(Masked).counts
            self._audit.write(self._record(request, "pii.unmasked", "done", counts))

    def _record(
        self, request: Request, action: str, outcome: str, members: Mapping[str, int]
    ) -> Record:
        return make_record(request, self._clock(), action, outcome, members)


async def search_texts(
    engine: Engine, own: Own | None, texts: Sequence[Text]
) -> Sequence[Sequence[Finding]]:
    """Look here, or in a thread what would hold others up. Raises: FloodError."""
    said = [Said(text.text, member_of(text.place)) for text in texts]
    if sum(len(each.text) for each in said) > LONG_CHARS:
        return await asyncio.to_thread(engine.find, said, own)
    scanned = engine.scan(said)
    if scanned.places > MANY_PLACES:
        return await asyncio.to_thread(engine.search, scanned, own)
    return engine.search(scanned, own)


def is_much(texts: Sequence[Text], found: Sequence[Sequence[Finding]]) -> bool:
    """Whether to judge it would hold others up."""
    return sum(len(text.text) for text in texts) > LONG_CHARS or sum(map(len, found)) > MANY_PLACES


def answers_in_json(document: Document) -> bool:
    """Whether the request asks for an answer that is JSON."""
    text = as_members(document.get("text"))
    asked = as_members(text.get("format") or document.get("response_format"))
    kind = asked.get("type", "text")
    return kind != "text" or "structured_outputs" in document or "guided_json" in document


def as_members(value: object) -> Mapping[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
