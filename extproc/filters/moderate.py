"""What may not be asked, and what may not be said: by words, patterns, and services that judge.

Requests and answers are two filters, for what masks personal data stands between them: services see
requests after they were masked, and answers before the values are put back.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

from audit.record import AuditLog
from extproc.counting.counted import Counted
from extproc.decision import Decision, Deny
from extproc.dialects.ending import ending
from extproc.dialects.texts import TangledError, Text, find_texts, find_unreadable
from extproc.errors import PolicyError, Reason
from extproc.filter import AnswerMode, BodyTransform, Filter, OnFault
from extproc.filters.audited import make_record
from extproc.filters.pii import MUTE
from extproc.filters.texts import read_texts
from extproc.policy.models import Policy
from extproc.policy.moderation import ModeratorPolicy
from extproc.ports import ModerationMeter
from extproc.request import (
    Fact,
    Identity,
    Kind,
    Model,
    Operation,
    Payload,
    Prompt,
    Request,
    Scalar,
)
from extproc.safety.expressions import FloodError
from extproc.safety.moderation.answer import Moderated
from extproc.safety.moderation.panel import Bench, Panel, Service, find_block
from extproc.safety.moderation.rules import Hit, Moderator, UnjudgedError, Where
from extproc.safety.scope import tenant_rules
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

LONG_CHARS = 65_536
"""Of all texts: from here on they are looked through in a thread."""
UNJUDGED_SPEAKERS = frozenset({"system", "assistant", "definition"})
"""Services are not asked what they have judged before, or what the application says itself. Words are
looked for in everything."""
TOKEN_BYTES = 4
"""Of a prompt that nobody has counted."""
SAID: Mapping[tuple[Where, str], str] = {
    ("request", "block"): "denied",
    ("answer", "block"): "cut",
    ("request", "tag"): "tagged",
    ("answer", "tag"): "tagged",
}


class Tagged(Fact, frozen=True):
    """Rules have something against a request that passes; without this fact, none has."""

    hits: Sequence[Hit]

    def witness(self) -> Mapping[str, Scalar]:
        return {"moderation": ",".join(f"{each.rule}:{each.category}" for each in self.hits)}


class Teller:
    """Counts, logs and writes down what is found."""

    def __init__(
        self,
        meter: ModerationMeter | None = None,
        audit: AuditLog | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._meter = meter
        self._audit = audit
        self._clock = clock

    def tell(self, request: Request, where: Where, hit: Hit) -> None:
        """Raises: OSError."""
        said = SAID[where, hit.action]
        if self._meter:
            self._meter.moderated(hit.rule, where, said)
        log.info(
            Event.MODERATED,
            rule=hit.rule,
            category=hit.category,
            where=where,
            action=said,
            request_id=request.request_id,
        )
        if self._audit is None:
            return
        self._audit.write(
            make_record(
                request,
                self._clock(),
                f"moderation.{said}",
                said,
                {"rule": hit.rule, "category": hit.category, "where": where},
            )
        )


class Moderate(Filter):
    """Requests."""

    name: ClassVar[str] = "moderate"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Model, Prompt})

    def __init__(
        self,
        panel: Panel,
        teller: Teller,
        guards: frozenset[str] = frozenset(),
        on_fault: OnFault = "deny",
    ) -> None:
        """`guards` are models that judge: what they judge is not judged."""
        self._panel = panel
        self._teller = teller
        self._guards = guards
        self.on_fault = on_fault

    async def decide(self, request: Request) -> Decision:
        model = request.fact(Model)
        if {model.name, model.served_as} & self._guards:
            return request
        bench = self._panel.seat(request.fact(Identity).tenant, model.name, "request")
        if not bench.rules:
            return request
        looked = await look(bench, request)
        if isinstance(looked, Deny):
            return looked
        request, found = looked
        for each in found:
            self._teller.tell(request, "request", each)
        if (block := find_block(found)) is not None:
            message = f"The rule '{block.rule}' does not allow this: {block.category}."
            return Deny(Reason.CONTENT_BLOCKED, message)
        return request.having(Tagged(found)) if found else request


async def look(bench: Bench, request: Request) -> tuple[Request, Sequence[Hit]] | Deny:
    """Find what rules have against a request; refuse one that cannot be looked through."""
    kind, document = request.fact(Operation).kind, request.fact(Prompt).document
    if bench.blocks and (name := find_unreadable(kind, document)):
        message = f"'{name}' cannot be looked through: send text."
        return Deny(Reason.CONTENT_BLOCKED, message, name)
    try:
        request, texts = await read_texts(request)
        return request, await find(bench, texts)
    except (TangledError, FloodError) as exc:
        return Deny(Reason.INVALID_REQUEST, f"The request cannot be looked through: {exc}.")
    except UnjudgedError as exc:
        message = f"The service '{exc.service}' that judges requests does not answer."
        return Deny(Reason.NO_MODERATOR, message, retry_after_s=2)


async def find(bench: Bench, texts: Sequence[Text]) -> Sequence[Hit]:
    """Look for words; if they block nothing, ask the services. Raises: FloodError, UnjudgedError."""
    if sum(len(each.text) for each in texts) > LONG_CHARS:
        hits = await asyncio.to_thread(read_all, bench, texts)
    else:
        hits = read_all(bench, texts)
    if bench.asks and find_block(hits) is None:
        said = [each.text for each in texts if each.speaker not in UNJUDGED_SPEAKERS]
        (found,) = await bench.ask(["\n".join(said)])
        hits = [*hits, *found]
    return list({each.rule: each for each in reversed(hits)}.values())


def read_all(bench: Bench, texts: Sequence[Text]) -> Sequence[Hit]:
    found: dict[str, Hit] = {}
    for text in texts:
        found.update({each.rule: each for each in bench.read(text.text)})
    return list(found.values())


class ModerateAnswers(Filter):
    """Answers."""

    name: ClassVar[str] = "moderate_answers"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Model, Prompt})

    def __init__(self, panel: Panel, teller: Teller, guards: frozenset[str] = frozenset()) -> None:
        self._panel = panel
        self._teller = teller
        self._guards = guards

    def wish(self, request: Request) -> AnswerMode:
        """Only whose answers are judged pay for it; what only tags words need not stop the engine."""
        if request.fact(Operation).kind in MUTE:
            return AnswerMode.NONE
        known = tenant_rules(self._panel.rules, request)
        rules = [each for each in known if "answer" in each.where]
        if any(each.action == "block" or each.service for each in rules):
            return AnswerMode.DUPLEX
        return AnswerMode.STREAMED if rules else AnswerMode.NONE

    async def decide(self, request: Request) -> Decision:
        return request

    def transform(self, request: Request) -> BodyTransform | None:
        kind, model = request.fact(Operation).kind, request.fact(Model)
        if kind in MUTE or {model.name, model.served_as} & self._guards:
            return None
        tenant = request.fact(Identity).tenant
        bench = self._panel.seat(tenant, model.name, "answer")
        if not bench.rules:
            return None
        if bench.asks:
            bench.asked = find_question(kind, request)
        tell = partial(self._teller.tell, request.keeping(Identity, Model), "answer")
        return Moderated(kind, bench, ending(kind, find_prompt_tokens(request)), tell)


def find_question(kind: Kind, request: Request) -> str:
    """Find what the user said last."""
    try:
        texts = find_texts(kind, request.fact(Prompt).document)
    except TangledError:
        return ""
    return next((each.text for each in reversed(texts) if each.speaker == "user"), "")


def find_prompt_tokens(request: Request) -> int:
    """For engines that do not tell in time: as it was counted, or else a guess."""
    if (counted := request.find(Counted)) is not None:
        return counted.prompt_tokens
    payload = request.find(Payload)
    return len(payload.raw) // TOKEN_BYTES if payload else 0


Reach = Callable[[ModeratorPolicy], Moderator]


def moderate(
    policy: Policy,
    reach: Reach | None,
    meter: ModerationMeter | None,
    audit: AuditLog | None,
    clock: Callable[[], float],
) -> tuple[Sequence[Filter], Sequence[Filter]]:
    """Make the filter of answers and that of requests, as far as the policy has rules. Raises:
    PolicyError."""
    moderation = policy.moderation
    if not moderation.rules:
        return (), ()
    if moderation.services and reach is None:
        raise PolicyError("moderation.services: there is no way to ask one here")
    services = {
        each.name: Service(reach(each), each.on_fault) for each in moderation.services if reach
    }
    panel = Panel(moderation.compiled_rules(), services, meter.asked if meter else None)
    teller = Teller(meter, audit, clock)
    kinds = [each for each in moderation.services if each.kind == "guard_chat"]
    guards = frozenset(each.model for each in kinds if each.model)
    return (
        (ModerateAnswers(panel, teller, guards),),
        (Moderate(panel, teller, guards, moderation.on_fault or "deny"),),
    )
