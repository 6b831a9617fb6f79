"""When an endpoint gets nothing for a while, and how it comes back."""

from typing import Annotated, Self

from pydantic import Field, FiniteFloat, model_validator

from extproc.policy.base import Strict
from extproc.routing.breaker import BreakerRules
from extproc.routing.condition import HealthRules
from extproc.routing.pressure import PressureRules
from extproc.routing.slowness import SlownessRules
from extproc.routing.warmth import WarmthRules

Share = Annotated[FiniteFloat, Field(gt=0, lt=1)]
Seconds = Annotated[FiniteFloat, Field(gt=0, le=3600)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class HealthPolicy(Strict):
    """Of one pool. A condition that is null is never looked at."""

    errors: Share | None = 0.5  # failed requests, above which it is out
    errors_over_s: Seconds = 10.0  # in any stretch of that length
    errors_least: Count = 5  # fewer requests say nothing; of first tokens for ttft_p99_s, too
    ttft_p99_s: Seconds | None = (
        10.0  # the engine's own p99 time to first token, above which it is out
    )
    ttft_for_s: Seconds = 60.0  # when it is for so long
    kv_usage: Share | None = 0.95  # share of the KV cache that is in use, above which it is out
    kv_usage_back: Share = 0.85  # below which it is back
    waiting: Count | None = 1000  # requests in its queue, above which it is out
    waiting_back: Count = 500  # below which it is back
    stale_s: Seconds = 5.0  # what was read longer ago says nothing
    silent_s: Seconds | None = 3.0  # probes that fail for so long: it hangs, or is ill
    open_s: Seconds = 5.0  # the first time it is out for errors; each failed try doubles it
    open_most_s: Seconds = 60.0  # up to this
    trials: Count = 3  # requests that it gets then, to show that it is well
    slow_start_s: Annotated[FiniteFloat, Field(ge=0, le=3600)] = (
        30.0  # new or back: to its whole share
    )
    slow_start_from: Annotated[FiniteFloat, Field(gt=0, le=1)] = 0.1  # of its share, at first
    most_out: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.5  # of the pool, at any time

    @model_validator(mode="after")
    def check_marks(self) -> Self:
        if self.kv_usage is not None and self.kv_usage_back > self.kv_usage:
            raise ValueError("kv_usage_back is above kv_usage: it would be out and back at once")
        if self.waiting is not None and self.waiting_back > self.waiting:
            raise ValueError("waiting_back is above waiting: it would be out and back at once")
        if self.open_s > self.open_most_s:
            raise ValueError("open_s is the shortest time: it cannot be above open_most_s")
        return self

    def rules(self) -> HealthRules:
        """Compile it."""
        return HealthRules(
            BreakerRules(
                errors=self.errors,
                over_s=self.errors_over_s,
                least=self.errors_least,
                open_s=self.open_s,
                open_most_s=self.open_most_s,
                trials=self.trials,
            ),
            PressureRules(
                kv_usage=self.kv_usage,
                kv_usage_back=self.kv_usage_back,
                waiting=self.waiting,
                waiting_back=self.waiting_back,
                stale_s=self.stale_s,
            ),
            SlownessRules(
                ttft_p99_s=self.ttft_p99_s, for_s=self.ttft_for_s, least=self.errors_least
            ),
            WarmthRules(least=self.slow_start_from, over_s=self.slow_start_s),
            silent_s=self.silent_s,
            most_out=self.most_out,
        )
