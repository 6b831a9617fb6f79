"""A small model first, and the large one only where the small one is not sure of itself.

The small model is asked through the gateway's own door, with the client's own credential: so that
request is judged, limited, picked for, billed and written down like any other, at the small model's
price. If its answer is sure enough it is the answer, and the large model costs nothing; if not, the
client's request goes its way as if nothing had been.

How sure a model is of an answer: the geometric mean of the probabilities of its tokens,
`exp(mean(logprob))`. It says how much the model hesitated over its words, not whether they are true.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import exp, fsum, isfinite
from typing import Any, ClassVar, Literal, cast

import msgspec

from extproc.access import Access
from extproc.decision import Decision, Reply, Wait
from extproc.dialects.body import Document
from extproc.errors import AskError
from extproc.filter import Filter
from extproc.filters.fallback import may_move
from extproc.filters.resolve import right_to
from extproc.limits.amounts import nano_usd
from extproc.limits.base import LARGEST
from extproc.ports import Asker
from extproc.request import (
    Body,
    Cascaded,
    Fact,
    Identity,
    Kind,
    Model,
    Operation,
    Prompt,
    Request,
)
from ledger.sighting import Usage

MOST_S = 29.0
"""What Envoy is asked for. It listens once for each message and takes no more than 30 s, and whoever
waits afterwards, in a queue, has what is left of it."""
TOKEN_BYTES = 4
PASSED_ON = ("authorization", "x-api-key", "x-tenant-id", "x-project-id")
"""Who asks. Nothing else of the client's headers concerns the small model."""
ASKS_LOGPROBS: Mapping[Kind, object] = {Kind.CHAT: True, Kind.COMPLETIONS: 1}
WHOLE = ("stop", "length")
"""Ends of answers that a larger model's answer might have had as well."""

Result = Literal["kept", "escalated", "failed"]


class CascadeRule(msgspec.Struct, frozen=True):
    first: str
    """Public name of the small model."""
    first_price: str
    price: str
    """Of the large one."""
    min_confidence: float
    max_prompt_tokens: int
    within_s: float


class Cascade(Filter):
    """`rules` by public name. `tell` counts: the model, what became of it, and the US dollars that
    it saved, below zero where it cost them."""

    name: ClassVar[str] = "cascade"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Body, Prompt, Model})

    def __init__(
        self,
        rules: Mapping[str, CascadeRule],
        access: Access,
        asker: Asker,
        tell: Callable[[str, Result, float], object],
    ) -> None:
        self._rules = rules
        self._access = access
        self._asker = asker
        self._tell = tell

    async def decide(self, request: Request) -> Decision:
        model = request.fact(Model).name
        rule = self._rules.get(model)
        if rule is None or not fits(request, rule):
            return request
        kind = request.fact(Operation).kind
        if not self._access.admits(request.fact(Identity), rule.first, right_to(kind)):
            return request
        return Wait(MOST_S, partial(self._ask, request, rule))

    async def _ask(self, request: Request, rule: CascadeRule) -> Request | Reply:
        kind, prompt = request.fact(Operation).kind, request.fact(Prompt)
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        wanted = prompt.document.get("logprobs")  # in completions a number, and 0 is one
        tells = wanted is not None and wanted is not False
        logprobs = wanted if tells else ASKS_LOGPROBS[kind]
        draft = {**prompt.document, "model": rule.first, "logprobs": logprobs}
        try:
            answer = await self._asker.ask(
                request.path,
                {**headers, "traceparent": request.traceparent},
                msgspec.json.encode(draft),
                rule.within_s,
            )
            document = read(answer)
        except AskError:
            return self._go_on(request, "failed", None, 0.0)
        sure, spent = confidence(kind, document), usage_of(document)
        if sure is None:
            return self._go_on(request, "failed", None, usd(rule.first_price, spent))
        if sure < rule.min_confidence:
            return self._go_on(request, "escalated", sure, usd(rule.first_price, spent))
        saved = usd(rule.price, spent) - usd(rule.first_price, spent)
        self._tell(request.fact(Model).name, "kept", saved)
        body = document if tells else without_logprobs(document)
        said = Cascaded("kept", sure).said
        return Reply(
            msgspec.json.encode(body),
            headers={"x-headgate-model": rule.first, "x-headgate-cascade": said},
        )

    def _go_on(
        self, request: Request, result: Result, sure: float | None, cost_usd: float
    ) -> Request:
        self._tell(request.fact(Model).name, result, -cost_usd)
        return request.having(Cascaded(result, sure))


def fits(request: Request, rule: CascadeRule) -> bool:
    """Say whether one short answer in one piece is asked for, which nobody goes on from. Whoever
    wants tools called wants the large model's judgement."""
    kind, prompt = request.fact(Operation).kind, request.fact(Prompt)
    return (
        kind in ASKS_LOGPROBS
        and not prompt.stream
        and prompt.n == 1
        and not prompt.document.get("tools")
        and may_move(request)
        and len(request.fact(Body).raw) <= rule.max_prompt_tokens * TOKEN_BYTES
    )


def read(answer: bytes) -> Document:
    """Raises: AskError when it is no answer."""
    try:
        return msgspec.json.decode(answer, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise AskError("what came is no answer") from None


def confidence(kind: Kind, document: Document) -> float | None:
    """Say how sure the model was, 0 to 1; None where the answer does not tell, or is not whole."""
    choices = document.get("choices")
    if not isinstance(choices, list) or len(cast("list[object]", choices)) != 1:
        return None
    choice = members(cast("list[object]", choices)[0])
    if choice.get("finish_reason") not in WHOLE:
        return None
    told = members(choice.get("logprobs"))
    listed = told.get("content" if kind is Kind.CHAT else "token_logprobs")
    if not isinstance(listed, list):
        return None
    values = [
        members(each).get("logprob") if kind is Kind.CHAT else each
        for each in cast("list[object]", listed)
    ]
    return geometric_mean(values)


def geometric_mean(logprobs: Sequence[object]) -> float | None:
    """Of probabilities that are given by their logarithms."""
    values = [each for each in logprobs if isinstance(each, int | float)]
    if not values or len(values) != len(logprobs):
        return None
    try:
        mean = fsum(values) / len(values)
    except (OverflowError, ValueError):  # too large to add up, or infinities of both signs
        return None
    return exp(min(0.0, mean)) if isfinite(mean) else None


def members(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def without_logprobs(document: Document) -> Document:
    """The answer as it looks to whoever did not ask for them."""
    choices = [{**choice, "logprobs": None} for choice in document["choices"]]
    return {**document, "choices": choices}


def usage_of(document: Document) -> Usage:
    said = members(document.get("usage"))
    counts = [said.get(name) for name in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (
        each if isinstance(each, int) and 0 <= each <= LARGEST else 0 for each in counts
    )
    return Usage(prompt, completion, 0)


def usd(price: str, usage: Usage) -> float:
    return nano_usd(price, usage) / 1e9
