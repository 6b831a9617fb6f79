"""How fast an endpoint is, as learned from successive looks. Pure: no clock but the looks' own.

The prefill rate. vLLM tells, for each request that ended, how long it took from being scheduled to its
first token, and how many tokens it computed meanwhile. Their quotient is too small, never too large:
the time holds other prompts' share of the same steps (sixteen short prompts in one step each take
the time of all) and the decoding of running requests. Likewise what the engine as a whole computed
in a stretch of time in which requests waited: it decoded meanwhile. So both are measured, each as an
upper quantile of recent samples, and the larger one is nearer to the truth.

What an engine can do does not change while it runs, only what it shows: samples are kept until newer
ones push them out. A restarted engine begins anew.
"""

from collections import deque

import msgspec

from engines.load import NOTHING, Load


class Rates(msgspec.Struct, frozen=True):
    """What an endpoint has shown it can do; None is not learned yet."""

    prefill_tokens_per_s: float | None = None
    itl_s: float | None = None
    """Between two tokens, at the load of late."""
    itl_base_s: float | None = None
    """The part of it that does not depend on how many requests run."""
    itl_per_running_s: float = 0.0
    """What each running request adds."""
    uncached_tokens: float | None = None
    """Prompt tokens computed for a request, of late: what one that waits will probably take."""
    drain_per_s: float | None = None
    """Requests that got their first token, in a second in which others waited."""
    most_running: int | None = None
    """Where it stopped taking more while others waited: its limit of sequences."""
    error: float = 1.0
    """Spread of the samples of the prefill rate, relative to it: 0 is sure, 1 knows nothing."""
    evidence: float = 0.0
    """How many requests this comes from, at most `SAMPLES`."""


UNKNOWN = Rates()

SAMPLES = 64
"""Looks with news that are remembered: 13 s of a busy engine, an hour of an idle one."""
QUANTILE = 0.8
"""Of samples that are all too small but for noise. The largest would be noise alone."""
WINDOW_S = 2.0
"""How long the engine's own throughput is added up. A prompt counts as a whole when it ends, so it must
be several prompts long."""
WINDOW_PROMPTS = 4
SMALL_TOKENS = 256
"""A prompt of so many tokens says half as much of the rate as a long one: the rest of its time is
what every step takes."""
HALF_LIFE_S = 5.0
"""Of what changes with the load."""
STUCK_S = 1.0
"""How long no more may run, while others wait, for that to be the limit. A long prompt's step takes
less."""
FADE = 0.98
"""Of the line through (running, ITL), for each look with news: 50 of them, 10 s."""


class RateLearner:
    """Of one endpoint. About 5 us for a look, 15 with news."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._last, self._last_s = NOTHING, 0.0
        self._requests: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._windows: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._line = Line()
        self._window_s = self._window_tokens = 0.0
        self._stuck_s = 0.0
        self._rates = UNKNOWN

    @property
    def rates(self) -> Rates:
        return self._rates

    def look(self, load: Load, at_s: float) -> Rates:
        """Learn from what was seen then; say what is known."""
        last, passed_s = self._last, at_s - self._last_s
        if last is NOTHING or has_restarted(last, load):
            self._forget()
        elif passed_s > 0:
            news = {
                **self._learn_steps(last, load, passed_s),
                **self._learn_prompts(last, load, passed_s),
                **self._learn_throughput(last, load, passed_s),
                **self._learn_queue(last, load, passed_s),
            }
            if news:
                self._rates = msgspec.structs.replace(self._rates, **news)
        if passed_s > 0 or self._last is NOTHING:
            self._last, self._last_s = load, at_s
        return self._rates

    def _learn_steps(self, last: Load, load: Load, passed_s: float) -> dict[str, float]:
        """How long a step takes, and how that grows with what runs."""
        count = load.itl_s.count - last.itl_s.count
        if count <= 0:
            return {}
        itl_s = max(load.itl_s.sum - last.itl_s.sum, 0.0) / count
        self._line.add((load.running + last.running) / 2, itl_s)
        base_s, each_s = self._line.fit()
        smooth_s = blend(self._rates.itl_s, itl_s, passed_s)
        return {"itl_s": smooth_s, "itl_base_s": base_s, "itl_per_running_s": each_s}

    def _learn_prompts(self, last: Load, load: Load, passed_s: float) -> dict[str, float]:
        """How fast the prompts of requests that have ended were computed."""
        count = load.prefill_s.count - last.prefill_s.count
        tokens = load.prefill_tokens.sum - last.prefill_tokens.sum
        spent_s = load.prefill_s.sum - last.prefill_s.sum
        if count <= 0 or tokens <= 0 or spent_s <= 0:
            return {}
        # Each took one step of decoding at least, which the predictor counts by itself.
        step_s = self._rates.itl_base_s or 0.0
        spent_s = max(spent_s - count * step_s, spent_s / 2)
        self._requests.append((tokens / spent_s, tokens / (tokens + count * SMALL_TOKENS)))
        usual = blend(self._rates.uncached_tokens, tokens / count, passed_s)
        evidence = min(self._rates.evidence + count, float(SAMPLES))
        return {"uncached_tokens": usual, "evidence": evidence, **self._rate()}

    def _learn_throughput(self, last: Load, load: Load, passed_s: float) -> dict[str, float]:
        """How fast the engine computes prompts when it has enough to do."""
        if not (load.waiting and last.waiting):
            self._window_s = self._window_tokens = 0.0
            return {}
        computed = (
            load.prompt_tokens - last.prompt_tokens - (load.cached_tokens - last.cached_tokens)
        )
        self._window_s += passed_s
        self._window_tokens += max(computed, 0.0)
        if self._window_s < WINDOW_S:
            return {}
        rate, tokens = self._window_tokens / self._window_s, self._window_tokens
        self._window_s = self._window_tokens = 0.0
        if tokens < WINDOW_PROMPTS * (self._rates.uncached_tokens or 0.0) or not tokens:
            return {}
        self._windows.append((rate, 1.0))
        return self._rate()

    def _rate(self) -> dict[str, float]:
        samples = [quantiles(found) for found in (self._requests, self._windows) if found]
        rate, middle = max(samples)
        # What few samples say may be far off, however well they agree.
        few = 1.0 / (1 + len(self._requests) + len(self._windows))
        return {"prefill_tokens_per_s": rate, "error": min(1.0, 1.0 - middle / rate + few)}

    def _learn_queue(self, last: Load, load: Load, passed_s: float) -> dict[str, float]:
        """How fast a queue gets shorter, and at how many running requests it begins."""
        news: dict[str, float] = {}
        most = self._rates.most_running
        if most is not None and load.running > most:
            news["most_running"] = load.running  # it was no limit: a long prompt held the others up
        if not (load.waiting and last.waiting):
            self._stuck_s = 0.0
            return news
        begun = max(load.ttft_s.count - last.ttft_s.count, 0.0)
        news["drain_per_s"] = blend(self._rates.drain_per_s, begun / passed_s, passed_s)
        self._stuck_s = self._stuck_s + passed_s if load.running <= last.running else 0.0
        if self._stuck_s >= STUCK_S:
            news["most_running"] = load.running
        return news


def has_restarted(last: Load, load: Load) -> bool:
    """Whether it is another process: it says so, or its counters have fallen."""
    return (
        load.started_s != last.started_s
        or load.prompt_tokens < last.prompt_tokens
        or load.generation_tokens < last.generation_tokens
        or load.prefill_s.count < last.prefill_s.count
        or load.itl_s.count < last.itl_s.count
        or load.ttft_s.count < last.ttft_s.count
    )


def blend(old: float | None, new: float, passed_s: float) -> float:
    """Move towards what is new, half of the way in `HALF_LIFE_S`."""
    if old is None:
        return new
    kept: float = 0.5 ** (passed_s / HALF_LIFE_S)
    return old * kept + new * (1.0 - kept)


def quantiles(samples: deque[tuple[float, float]]) -> tuple[float, float]:
    """Find `QUANTILE` and the median, by weight."""
    ordered = sorted(samples)
    total = sum(weight for _, weight in ordered)
    middle, passed = 0.0, 0.0
    for value, weight in ordered:
        passed += weight
        if not middle and passed >= total / 2:
            middle = value
        if passed >= total * QUANTILE:
            return value, middle
    return ordered[-1][0], middle or ordered[-1][0]


class Line:
    """A straight line through points that fade: least squares."""

    def __init__(self) -> None:
        self._n = self._x = self._y = self._xx = self._xy = 0.0

    def add(self, x: float, y: float) -> None:
        self._n = self._n * FADE + 1.0
        self._x = self._x * FADE + x
        self._y = self._y * FADE + y
        self._xx = self._xx * FADE + x * x
        self._xy = self._xy * FADE + x * y

    def fit(self) -> tuple[float, float]:
        """Say where it begins and how steep it is, neither below 0. At least one point."""
        mean_x, mean_y = self._x / self._n, self._y / self._n
        spread = self._xx / self._n - mean_x * mean_x
        if spread < 0.25:  # all at about the same load: no slope can be seen
            return mean_y, 0.0
        slope = max((self._xy / self._n - mean_x * mean_y) / spread, 0.0)
        slope = min(slope, mean_y / mean_x if mean_x > 0 else slope)
        return mean_y - slope * mean_x, slope
