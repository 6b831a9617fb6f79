"""A second try beside the first, when an answer takes longer than nearly all others did.

Envoy does it (`hedge_on_per_try_timeout`): when no response headers have come in time, it asks the next
endpoint too, and whichever answers first is the answer; the other is stopped. So it is for answers
that come in one piece: a stream's headers come at once, however late its first token is.

    after     the model's own p95 by default, as it was lately
    a share   of all such requests may be asked twice: an engine that is slow because it is busy must
              not be given twice the work

Both come from how requests end. Envoy tells the ends of one of its threads to one worker, whoever has
decided, so they are heard from the view, which tells every worker.
"""

from bisect import insort
from collections import deque
from collections.abc import Mapping
from math import ceil
from typing import ClassVar

import msgspec

from engines.watch.messages import Ended
from extproc.decision import Decision
from extproc.filter import Filter
from extproc.ports import EngineView
from extproc.request import Fact, Hedge, Kind, Model, Operation, Payload, Prompt, Request, Tries

SEEN = 500
"""Latencies remembered of each model."""
LEAST_SEEN = 100
"""Fewer say nothing of the slowest twentieth."""
QUANTILE = 0.95
BURST = 5.0
"""Second tries that may come together, when there was none for a while."""
TOKEN_BYTES = 4
"""Of a prompt, roughly: this bound needs no more."""
MOST_ARMED = 10_000
"""Requests under way that may be asked twice; of more, the oldest are not counted."""
SAFE = frozenset({Kind.CHAT, Kind.COMPLETIONS, Kind.EMBEDDINGS, Kind.MESSAGES})
"""What leaves nothing behind when it is done twice."""


class HedgeRule(msgspec.Struct, frozen=True):
    after_s: float | None = None
    """None: the p95."""
    max_prompt_tokens: int = 512
    max_share: float = 0.05


class Latencies:
    """The latest ones, in order of time and of size."""

    def __init__(self, seen: int = SEEN) -> None:
        self._recent: deque[float] = deque(maxlen=seen)
        self._sorted: list[float] = []

    def add(self, seconds: float) -> None:
        if len(self._recent) == self._recent.maxlen:
            self._sorted.remove(self._recent[0])
        self._recent.append(seconds)
        insort(self._sorted, seconds)

    def p95(self) -> float | None:
        count = len(self._sorted)
        return self._sorted[ceil(count * QUANTILE) - 1] if count >= LEAST_SEEN else None


class Purse:
    """How many second tries are left: each request that might have one adds its share."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._left = min(1.0, BURST)

    @property
    def is_empty(self) -> bool:
        return self._left < 1

    def put(self) -> None:
        self._left = min(self._left + self._share, BURST)

    def take(self) -> None:
        self._left -= 1


class Hedging(Filter):
    """`rules` by public name; models without one are never asked twice. `elsewhere` are pools that
    charge for it."""

    name: ClassVar[str] = "hedge"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Prompt, Model, Payload})

    def __init__(
        self, rules: Mapping[str, HedgeRule], elsewhere: frozenset[str], view: EngineView
    ) -> None:
        self._rules = rules
        self._elsewhere = elsewhere
        self._latencies = {name: Latencies() for name in rules}
        self._purses = {name: Purse(rule.max_share) for name, rule in rules.items()}
        self._armed: dict[str, Purse] = {}
        """What pays, by settle key, oldest first: each worker for what it has decided."""
        view.tell_ends(self.heard)

    async def decide(self, request: Request) -> Decision:
        model = request.fact(Model)
        rule = self._rules.get(model.name)
        if rule is None or model.pool in self._elsewhere or not is_short(request, rule):
            return request
        if request.find(Tries):  # it has somewhere else to go
            return request
        purse = self._purses[model.name]
        purse.put()
        after_s = self._latencies[model.name].p95() if rule.after_s is None else rule.after_s
        if after_s is None or purse.is_empty:
            return request
        if len(self._armed) >= MOST_ARMED:
            del self._armed[next(iter(self._armed))]
        self._armed[request.settle_key] = purse
        return request.having(Hedge(max(1, ceil(after_s * 1000))))

    def heard(self, ended: Ended) -> None:
        """Learn from the end of any request of this host."""
        latencies = self._latencies.get(ended.model)
        if latencies and ended.status == 200 and ended.latency_s and not ended.is_stream:
            latencies.add(ended.latency_s)
        purse = self._armed.pop(ended.key, None)
        if purse and ended.attempts > 1:
            purse.take()


def is_short(request: Request, rule: HedgeRule) -> bool:
    """Say whether doing it twice is cheap and leaves nothing behind."""
    if request.fact(Operation).kind not in SAFE or request.fact(Prompt).stream:
        return False
    return len(request.fact(Payload).raw) <= rule.max_prompt_tokens * TOKEN_BYTES
