"""What a prediction needs of one endpoint, worked out once for each look instead of for each pick."""

from collections.abc import Sequence
from math import inf
from statistics import median

from engines.load import Load
from engines.rates import Rates
from extproc.routing.candidate import Candidate
from extproc.routing.settings import Prediction

PRIOR_S = 1.0
"""How often what the pool can do as a whole is worked out anew."""
LEAST_REQUESTS = 4
"""In a pool, for their number to tell who sends them."""
OTHERS, NEWS = 0.5, 0.1
"""Share of requests that others send, before it is known; and how much a second's news change the
means that it comes from: with more, chance looks like another gateway where answers are short."""


class Speed:
    """One endpoint. The times are seconds, `token_s` is for one prompt token."""

    __slots__ = (
        "backlog_s",
        "drain_s",
        "error",
        "free_tokens",
        "fullness",
        "load",
        "rates",
        "room",
        "step_s",
        "token_s",
        "tokens",
        "waiter_s",
        "waiting",
    )

    def __init__(self, load: Load, rates: Rates, prior: "Prior", about: Prediction) -> None:
        self.load = load
        self.rates = rates
        # So many requests' worth of the pool's word beside its own.
        evidence = rates.evidence / (rates.evidence + about.evidence)
        own = rates.prefill_tokens_per_s or prior.prefill_tokens_per_s
        rate = own * evidence + prior.prefill_tokens_per_s * (1.0 - evidence)
        self.token_s = 1.0 / max(rate, 1.0)
        self.error = min(rates.error, about.tolerance)
        usual = rates.uncached_tokens
        usual = about.prompt_tokens if usual is None else usual
        self.waiting = load.waiting
        self.backlog_s = load.waiting * usual * self.token_s
        """Prompts that wait there."""
        self.waiter_s = rates.itl_per_running_s
        """What each running request adds to a step."""
        base_s = rates.itl_base_s or 0.0
        self.step_s = base_s + self.waiter_s * load.running if load.running else 0.0
        self.tokens = float(load.blocks * load.block_tokens)
        kv_usage = min(max(load.kv_usage, 0.0), 1.0)
        self.free_tokens = self.tokens * (1.0 - kv_usage) if self.tokens else inf
        """Of the KV cache."""
        most = rates.most_running
        is_limited = most is not None and load.waiting > 0
        self.room = most - load.running if is_limited and most is not None else 1 << 30
        """Requests until its limit of sequences, if it seems to have one."""
        start = about.kv_usage
        self.fullness = max(0.0, (kv_usage - start) / (1.0 - start)) if start < 1.0 else 0.0
        drain = rates.drain_per_s
        self.drain_s = 1.0 / drain if drain and load.waiting else about.drain_s
        """Until one of those that wait gets its turn on a full endpoint."""

    def hold_up_s(self, unseen: int, tokens: float) -> float:
        """Say how long a request for which there is no room will wait beyond `backlog_s`, because
        others have to end first."""
        fullness = self.fullness
        if unseen >= self.room or tokens > self.free_tokens:
            fullness = 1.0
        if not fullness:
            return 0.0
        return max(0.0, fullness * (self.waiting + unseen + 1) * self.drain_s - self.backlog_s)

    def adapter_s(self, adapter: str, about: Prediction) -> float:
        """Say how long it takes until a LoRA adapter is there."""
        known = self.load.adapters
        if adapter in known.running:
            return 0.0
        if adapter in known.waiting:
            return about.adapter_load_s / 2
        if not known.most or len(known.running) + len(known.waiting) < known.most:
            return about.adapter_load_s
        return about.adapter_load_s + about.adapter_wait_s


class Prior:
    """What is known of the pool as a whole."""

    def __init__(self, about: Prediction) -> None:
        self.prefill_tokens_per_s = about.prefill_tokens_per_s
        """Expected of an endpoint that has not shown it yet: what the others can do."""
        self.others = OTHERS
        """Share of the requests there that this host has not sent: 0 with one gateway, 3/4 with four."""
        self._there, self._ours = float(LEAST_REQUESTS), LEAST_REQUESTS * (1.0 - OTHERS)
        self._at_s = -inf

    def look(self, candidates: Sequence[Candidate], now_s: float) -> bool:
        """Work it out, if it is time; say whether rates have changed by much."""
        if now_s - self._at_s < PRIOR_S:
            return False
        self._at_s = now_s
        self._compare(candidates)
        known = [c.rates.prefill_tokens_per_s for c in candidates]
        rates = [rate for rate in known if rate]
        if not rates:
            return False
        before, self.prefill_tokens_per_s = self.prefill_tokens_per_s, median(rates)
        return abs(self.prefill_tokens_per_s - before) > before / 10

    def _compare(self, candidates: Sequence[Candidate]) -> None:
        """See how much there is, and how much of it is ours. On average: at any moment they differ by
        what came and went since the looks, which is most of it where answers are short."""
        there = sum(c.load.running + c.load.waiting for c in candidates)
        ours = sum(c.in_flight for c in candidates)
        if max(there, ours) < LEAST_REQUESTS:
            return
        self._there += (there - self._there) * NEWS
        self._ours += (ours - self._ours) * NEWS
        self.others = 1.0 - min(self._ours / self._there, 1.0) if self._there else 0.0


class Speeds:
    """Of all endpoints of one pool; forgets those it is no longer shown."""

    def __init__(self, about: Prediction) -> None:
        self._about = about
        self._prior = Prior(about)
        self._known: dict[str, Speed] = {}

    @property
    def others(self) -> float:
        return self._prior.others

    def of(self, candidates: Sequence[Candidate], now_s: float) -> Sequence[Speed]:
        if self._prior.look(candidates, now_s) or len(self._known) > 2 * len(candidates) + 8:
            self._known.clear()
        known, found = self._known, list[Speed]()
        for each in candidates:
            speed = known.get(each.endpoint)
            if speed is None or speed.load is not each.load or speed.rates is not each.rates:
                speed = Speed(each.load, each.rates, self._prior, self._about)
                known[each.endpoint] = speed
            found.append(speed)
        return found
