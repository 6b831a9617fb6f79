"""What an engine has done since it started, in the measures of vLLM. metrics.py writes it out."""

from bisect import bisect_left
from itertools import accumulate

FINISHED_REASONS: tuple[str, ...] = ("stop", "length", "abort", "error", "repetition")

_TTFT_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5),
    *(10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_ITL_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5),
    *(10.0, 20.0, 40.0, 80.0),
)
_LATENCY_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
_ITERATION_TOKENS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_N = (1, 2, 5, 10, 20)
_PREEMPTIONS = (1, 2, 3, 4, 5, 10, 20)


def token_buckets(max_model_len: int) -> tuple[float, ...]:
    """1, 2, 5, 10, 20, 50, ... up to the context length."""
    steps = (mantissa * 10.0**power for power in range(12) for mantissa in (1, 2, 5))
    return tuple(step for step in steps if step <= max_model_len)


class Histogram:
    """Counts per bucket; the last bucket is +Inf."""

    __slots__ = ("bounds", "count", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.count = 0
        self.total = 0.0

    def bucket(self, value: float) -> int:
        return bisect_left(self.bounds, value)

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.count += times
        self.total += value * times

    def buckets(self) -> tuple[tuple[float, float], ...]:
        """Upper bounds, without +Inf, and how many were at or below each."""
        return tuple(zip(self.bounds, map(float, accumulate(self.counts)), strict=False))

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus' buckets: each one counts all smaller values too."""
        names = (*(str(float(bound)) for bound in self.bounds), "+Inf")
        return list(zip(names, accumulate(self.counts), strict=True))


class Meter:
    """Counters and histograms of one process, written by the engine alone."""

    def __init__(self, max_model_len: int) -> None:
        tokens = token_buckets(max_model_len)
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.received_tokens = 0
        """Of the prompt tokens: those whose KV a prefill engine has sent."""
        self.generation_tokens = 0
        self.cache_queries = 0
        self.cache_hits = 0
        self.preemptions = 0
        self.success = dict.fromkeys(FINISHED_REASONS, 0)
        self.ttft_s = Histogram(_TTFT_S)
        self.itl_s = Histogram(_ITL_S)
        self.tpot_s = Histogram(_ITL_S)
        self.latency_s = Histogram(_LATENCY_S)
        self.queue_s = Histogram(_LATENCY_S)
        self.prefill_s = Histogram(_LATENCY_S)
        self.decode_s = Histogram(_LATENCY_S)
        self.inference_s = Histogram(_LATENCY_S)
        self.iteration_tokens = Histogram(_ITERATION_TOKENS)
        self.request_n = Histogram(_N)
        self.request_max_tokens = Histogram(tokens)
        self.request_prompt_tokens = Histogram(tokens)
        self.request_generation_tokens = Histogram(tokens)
        self.longest_generation_tokens = Histogram(tokens)
        self.request_preemptions = Histogram(_PREEMPTIONS)
        self.prefill_computed_tokens = Histogram(tokens)

    def looked_up(self, prompt_tokens: int, cached_tokens: int) -> None:
        """A prompt was looked up in the prefix cache."""
        self.cache_queries += prompt_tokens
        self.cache_hits += cached_tokens

    def prefilled(self, prompt_tokens: int, cached_tokens: int) -> None:
        """A prompt was computed, as far as it was not cached."""
        self.prompt_tokens += prompt_tokens
        self.cached_tokens += cached_tokens

    def succeeded(
        self, reason: str, *, prompt_tokens: int, computed_tokens: int, generated_tokens: int
    ) -> None:
        """One choice came to its end; its times are observed by `timed`."""
        self.success[reason] += 1
        self.request_prompt_tokens.observe(prompt_tokens)
        self.request_generation_tokens.observe(generated_tokens)
        self.longest_generation_tokens.observe(generated_tokens)
        self.prefill_computed_tokens.observe(computed_tokens)

    def timed(self, moments: tuple[float, float, float, float], tokens: int) -> None:
        """The times of one choice: when it arrived, was scheduled, gave its first and last token."""
        arrived_s, scheduled_s, first_s, last_s = moments
        self.latency_s.observe(last_s - arrived_s)
        self.queue_s.observe(scheduled_s - arrived_s)
        self.prefill_s.observe(first_s - scheduled_s)
        self.decode_s.observe(last_s - first_s)
        self.inference_s.observe(last_s - scheduled_s)
        if tokens > 1:
            self.tpot_s.observe((last_s - first_s) / (tokens - 1))
