"""What else may serve when the engines of the model that was asked for cannot.

    Instead        none of them can be picked: decide for the next model that can, before anything
                   is counted, reserved or priced
    Keep           hold on to the prompt before it is made fit for one kind of engine
    Alternatives   say where Envoy may go on by itself when they fail with the request in hand

An alternative is asked for the same thing in the same dialect, by somebody who may use it, under the
same limits. What may be sent twice is said in `may_repeat` and `may_resend` alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar

import msgspec

from extproc.access import Access
from extproc.decision import Decision, Deny, Outcome
from extproc.dialects.heads import differing, head_of, put_first
from extproc.filter import Filter
from extproc.filters.parameters import is_for
from extproc.filters.resolve import read_strategy, right_to, who
from extproc.limits.reach import Reach
from extproc.policy.catalog import ParameterRule
from extproc.ports import EngineView
from extproc.request import (
    Alternative,
    Fact,
    Fallback,
    Identity,
    Kind,
    Model,
    Operation,
    Prompt,
    Request,
    Tries,
)
from extproc.routing.ladder import count_requests, order
from extproc.routing.settings import DEFAULTS
from extproc.routing.tracks import Tracks

HEAD_BYTES = 16 * 1024
"""Longest beginning of a body that may differ between models: it travels as metadata."""
ATTEMPTS_HERE = 2
"""Endpoints named of a pool of ours that is an alternative."""
MOST_ALTERNATIVES = 3


@dataclass(frozen=True, slots=True)
class Others:
    """Which models stand in for which, and who may use them."""

    chains: Mapping[str, Sequence[str]]
    """Public names, in order of preference, by public name."""
    models: Mapping[str, Tracks]
    access: Access
    elsewhere: frozenset[str]
    """Pools that a service elsewhere serves."""

    def of(self, request: Request) -> Iterable[Model]:
        """Name what may serve this request besides its model, in order."""
        for name in self._after(request):
            if (model := self.find(request, name)) is not None:
                yield model

    def _after(self, request: Request) -> Sequence[str]:
        """Name those behind the model that serves now: by its own chain, or by that which led to it."""
        current, fallback = request.fact(Model).name, request.find(Fallback)
        chain = self.chains.get(current)
        if chain is None and fallback is not None:
            chain = self.chains.get(fallback.source, ())
            chain = chain[chain.index(current) + 1 :] if current in chain else chain
        return chain or ()

    def find(self, request: Request, name: str) -> Model | None:
        """Find what serves a model to whoever asks; None when they may not use it, or it is not on
        the track that they named."""
        identity, kind = request.fact(Identity), request.fact(Operation).kind
        strategy = read_strategy(request.headers)
        if isinstance(strategy, Deny) or not self.access.admits(identity, name, right_to(kind)):
            return None
        return self.models[name].choose(strategy, who(identity))

    def is_up(self, model: Model, view: EngineView) -> bool:
        """Say whether anybody can be sent there. Of services elsewhere nobody knows."""
        return model.pool in self.elsewhere or bool(view.candidates(model.pool, model.name))


def switch(request: Request, model: Model, reason: str) -> Request:
    """Let another model serve, from here on as if it had been asked for."""
    before, fallback = request.fact(Model), request.find(Fallback)
    source = fallback.source if fallback else before.name
    prompt = request.fact(Prompt).editing(model=model.served_as)
    return request.having(prompt).having(model).having(Fallback(source, reason))


class Instead(Filter):
    """Decides for another model when no engine of this one can be picked. When there is none
    either, the request goes on, to be refused in the words for that."""

    name: ClassVar[str] = "fallback"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Prompt, Model})

    def __init__(
        self, others: Others, view: EngineView, tell: Callable[[str, str, str], object]
    ) -> None:
        """`tell` is told at the end of each request for which another model stood in: which was asked
        for, which served, and why."""
        self._others = others
        self._view = view
        self._tell = tell

    async def decide(self, request: Request) -> Decision:
        model = request.fact(Model)
        if model.name not in self._others.chains or self._others.is_up(model, self._view):
            return request
        if not may_move(request):
            return request
        for other in self._others.of(request):
            if self._others.is_up(other, self._view) and may_repeat(
                request, elsewhere=other.pool in self._others.elsewhere
            ):
                return switch(request, other, "unavailable")
        return request

    async def settle(self, outcome: Outcome) -> None:
        known = outcome.witness
        if "requested_model" in known and not outcome.running:
            reason = str(known.get("fallback", "")).rpartition("=")[2]
            self._tell(str(known["requested_model"]), str(known.get("model", "")), reason)


class Kept(Fact, frozen=True):
    """The prompt as it is for every engine."""

    prompt: Prompt


class Keep(Filter):
    name: ClassVar[str] = "keep"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Prompt})
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Kept})

    async def decide(self, request: Request) -> Decision:
        return request.having(Kept(request.fact(Prompt)))


class Alternatives(Filter):
    """`checks` must let the request pass as it is for the other model, `fits` make it fit for the
    other engine: they are the filters that did so for the first. Nothing else of the pipeline runs
    again, so `rules` must say the same to the system, and `reaches` limit the same counts."""

    name: ClassVar[str] = "alternatives"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Prompt, Model, Kept})

    def __init__(
        self,
        others: Others,
        view: EngineView,
        checks: Sequence[Filter],
        fits: Sequence[Filter],
        rules: Mapping[str, Sequence[ParameterRule]],
        reaches: Sequence[Reach],
    ) -> None:
        self._others = others
        self._view = view
        self._checks = checks
        self._fits = fits
        self._rules = rules
        self._reaches = reaches

    async def decide(self, request: Request) -> Decision:
        if not may_move(request):
            return request
        found = [
            fit for model in self._others.of(request) if (fit := await self._fit(request, model))
        ]
        chosen = distinct(request.fact(Model).pool, found)[:MOST_ALTERNATIVES]
        if not chosen:
            return request
        prompt = request.fact(Prompt)
        documents = [each.fact(Prompt).document for each in chosen]
        members = differing(prompt.document, documents)
        head = head_of(prompt.document, members)
        alternatives = [self._offer(each, members) for each in chosen]
        short = tuple(each for each in alternatives if len(each.head) <= HEAD_BYTES)
        if not short or len(head) > HEAD_BYTES:
            return request
        fallback = request.find(Fallback)
        model = request.fact(Model)
        source = fallback.source if fallback else model.name
        ordered = msgspec.structs.replace(prompt, document=put_first(prompt.document, members))
        pools = [model.pool, *(each.model.pool for each in short)]
        tries = Tries(source, head, short, may_resend(pools, self._others.elsewhere))
        return request.having(ordered).having(tries)

    async def _fit(self, request: Request, model: Model) -> Request | None:
        """Make the request for that model; None where it would be another request."""
        elsewhere = model.pool in self._others.elsewhere
        if not may_repeat(request, elsewhere=elsewhere) or not self._is_alike(request, model):
            return None
        if not self._others.is_up(model, self._view):  # Envoy would not go on from there
            return None
        prompt = request.fact(Kept).prompt.editing(model=model.served_as)
        draft = request.having(prompt).having(model)
        for each in (*self._checks, *self._fits):
            decision = await each.decide(draft)
            if not isinstance(decision, Request):
                return None
            draft = decision
        return draft

    def _is_alike(self, request: Request, model: Model) -> bool:
        first, identity = request.fact(Model), request.fact(Identity)
        kind = request.fact(Operation).kind
        counts = [
            {
                (reach.limit.name, reach.scope(identity, each))
                for reach in self._reaches
                if reach.covers(identity, each, kind)
            }
            for each in (first, model)
        ]
        return hears_alike(self._rules, request, model) and counts[1] <= counts[0]

    def _offer(self, request: Request, members: Sequence[str]) -> Alternative:
        model, document = request.fact(Model), request.fact(Prompt).document
        candidates = self._view.candidates(model.pool, model.name)
        fresh_s = monotonic() - DEFAULTS.fresh_s
        counts = [float(count_requests(each, fresh_s)) for each in candidates]
        idlest = order(request.settle_key, counts, ATTEMPTS_HERE)
        endpoints = tuple(candidates[place].endpoint for place in idlest)
        return Alternative(model, head_of(document, members), endpoints)


def hears_alike(
    rules: Mapping[str, Sequence[ParameterRule]], request: Request, model: Model
) -> bool:
    """Say whether the same is said to the system for another model."""
    groups, operation = request.fact(Identity).groups, right_to(request.fact(Operation).kind)
    said = [
        [
            rule.system_prompt
            for rule in rules.get(each.name, ())
            if rule.system_prompt and is_for(rule, groups, operation)
        ]
        for each in (request.fact(Model), model)
    ]
    return said[0] == said[1]


def may_move(request: Request) -> bool:
    """Say whether another model may answer at all: not where the request goes on from something
    that is kept where it was made."""
    document = request.fact(Prompt).document
    keeps = ("previous_response_id", "conversation", "background")
    return not any(document.get(member) for member in keeps)


def may_repeat(request: Request, *, elsewhere: bool) -> bool:
    """Say whether nothing is left behind by an attempt that failed. Answers that are to be stored
    leave something, and so do those that go on in the background; OpenAI stores responses unless it
    is told not to."""
    operation = request.find(Operation)
    if operation is None or operation.kind is not Kind.RESPONSES:
        return True
    document = request.fact(Prompt).document
    store = document.get("store")
    if document.get("background"):
        return False
    return store is False if elsewhere else store is not True


def may_resend(pools: Sequence[str], elsewhere: frozenset[str]) -> bool:
    """Say whether to go on after a request that was sent completely came to nothing. Our engines
    charge for nothing they did not finish; a service elsewhere may, so it must be the last to try."""
    return elsewhere.isdisjoint(pools[:-1])


def distinct(pool: str, requests: Sequence[Request]) -> list[Request]:
    """Keep one for each pool: a pool that has failed is not an alternative to itself."""
    found: dict[str, Request] = {}
    for each in requests:
        found.setdefault(each.fact(Model).pool, each)
    found.pop(pool, None)
    return list(found.values())
