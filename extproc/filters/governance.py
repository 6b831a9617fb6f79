"""The filters of limits, put together: how a policy's prompts are counted, and what it limits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from alerts.alert import Alert
from extproc.counting.counter import Counter
from extproc.counting.engine import EngineCounter
from extproc.counting.expect import UNKNOWN_CONTEXT
from extproc.counting.images import ImageRule
from extproc.counting.lasting import Lasting
from extproc.filter import Filter
from extproc.filters.count import Count
from extproc.filters.limits import Limits
from extproc.filters.queueing import Queue
from extproc.limits.amounts import Estimate
from extproc.limits.base import Counters
from extproc.limits.reach import Reach
from extproc.limits.waiting import Waiting
from extproc.policy.catalog import ModelPolicy
from extproc.policy.models import Policy
from extproc.ports import EngineView, LimitMeter

AMPLE = 4
"""Room for that many of the longest answers at once needs no watching: others take from it as well."""


@dataclass(frozen=True, slots=True)
class Governance:
    """What limits use of the world; it outlives policies."""

    counters: Counters
    lasting: Lasting
    meter: LimitMeter
    alert: Callable[[Alert], object]
    waiting: Waiting | None = None
    """Without it nobody waits for room."""

    def filters(
        self, policy: Policy, engines: EngineView, clock: Callable[[], float]
    ) -> Sequence[Filter]:
        """Make the filters of one policy version. Raises: PolicyError."""
        priorities = [each.priority() for each in policy.priorities]
        engines.tell_used(self.lasting.learn)
        counting = {model.name: self._counter(model, engines) for model in policy.models}
        contexts = {m.name: m.context_tokens for m in policy.models if m.context_tokens}
        return (
            Count(counting, contexts, self.lasting.lengths, engines.used, self.meter.counted),
            Limits(
                reaches(policy),
                self.counters,
                self.meter,
                clock=clock,
                alert=self.alert,
                queue=Queue(self.waiting, priorities) if self.waiting else None,
            ),
        )

    def _counter(self, model: ModelPolicy, engines: EngineView) -> Counter:
        engine, vocabulary = None, None
        if (by := model.tokenizer) is not None:
            vocabulary = by.vocabulary
            if by.engine:
                healthy = partial(find_healthy, engines)
                engine = EngineCounter(self.lasting.client, healthy, by.deadline_ms / 1000)
        return Counter(
            self.lasting.threads,
            self.lasting.estimator(model.name),
            vocabulary,
            engine,
            model.images.rule() if model.images else ImageRule(),
        )


def find_healthy(engines: EngineView, pool: str) -> Sequence[str]:
    """Name the endpoints of a pool that may be asked."""
    return [each.endpoint for each in engines.candidates(pool)]


def reaches(policy: Policy) -> Sequence[Reach]:
    """Compile the limits, and say of each when it has ample room for any answer."""
    longest = max((m.context_tokens or UNKNOWN_CONTEXT for m in policy.models), default=0)
    prices = [str(model.price or "") for model in policy.models]
    sizes = [Estimate(longest, longest, longest, longest, price) for price in prices]
    compiled = [limit.reach() for limit in policy.limits]
    return [
        msgspec.structs.replace(
            reach, ample=AMPLE * max((size.amount(reach.limit) for size in sizes), default=0)
        )
        for reach in compiled
    ]
