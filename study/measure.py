"""What became of requests -> the figures of one run."""

from collections.abc import Mapping, Sequence

import msgspec

from study.stats import percentile

TTFT_SLO_S, TPOT_SLO_S = 2.0, 0.1
"""A request is served well when its first token came within the one and the others, on average,
within the other: answers begin soon and are written faster than people read."""


class Record(msgspec.Struct):
    """One request, as its client saw it. Filled in as it goes on."""

    asked_s: float
    prompt_tokens: int
    endpoint: str = ""
    cached_tokens: int = 0
    predicted_s: float | None = None
    first_s: float = -1.0
    """When its first token came; below 0 is not yet."""
    ended_s: float = -1.0
    completion_tokens: int = 0


class Window(msgspec.Struct, frozen=True):
    """Requests that came between these count; the load goes on until `end_s`."""

    begin_s: float
    stop_s: float
    end_s: float


class Figures(msgspec.Struct, frozen=True):
    """One run in numbers."""

    requests: int
    mean_ttft_s: float
    p50_ttft_s: float
    p95_ttft_s: float
    p99_ttft_s: float
    mean_tpot_s: float
    p95_tpot_s: float
    goodput: float
    """Share of requests that were served well."""
    good_per_s: float
    tokens_per_s: float
    """Generated, by answers that ended while it was measured."""
    requests_per_s: float
    """The same, answers."""
    hit_ratio: float
    """Prompt tokens found in a cache, of all."""
    imbalance: float
    """Requests at the fullest endpoint, running and waiting, as a multiple of the mean."""
    unanswered: int
    """Requests without a first token when the run ended: they count as if it came right then."""
    error_s: float
    """Median distance of predicted and measured TTFT, where the picker predicts; else 0."""


def measure(records: Sequence[Record], window: Window, held: Mapping[str, float]) -> Figures:
    """Sum up. `held`: requests at each endpoint, on average. At least one came within the window."""
    asked = [each for each in records if window.begin_s <= each.asked_s < window.stop_s]
    answered = [each for each in asked if each.first_s >= 0]
    ended = [each for each in records if window.begin_s <= each.ended_s < window.stop_s]
    ttfts = sorted(ttft(each, window) for each in asked)
    tpots = sorted(found for each in asked if (found := tpot(each)) is not None) or [0.0]
    good = sum(is_good(each, window) for each in asked)
    errors = sorted(
        abs(each.predicted_s - ttft(each, window))
        for each in answered
        if each.predicted_s is not None
    )
    seconds = window.stop_s - window.begin_s
    mean_held = sum(held.values()) / len(held)
    return Figures(
        requests=len(asked),
        mean_ttft_s=sum(ttfts) / len(ttfts),
        p50_ttft_s=percentile(ttfts, 0.5),
        p95_ttft_s=percentile(ttfts, 0.95),
        p99_ttft_s=percentile(ttfts, 0.99),
        mean_tpot_s=sum(tpots) / len(tpots),
        p95_tpot_s=percentile(tpots, 0.95),
        goodput=good / len(asked),
        good_per_s=good / seconds,
        tokens_per_s=sum(each.completion_tokens for each in ended) / seconds,
        requests_per_s=len(ended) / seconds,
        hit_ratio=sum(each.cached_tokens for each in answered)
        / max(1, sum(each.prompt_tokens for each in answered)),
        imbalance=max(held.values()) / mean_held if mean_held else 1.0,
        unanswered=len(asked) - len(answered),
        error_s=percentile(errors, 0.5) if errors else 0.0,
    )


def ttft(record: Record, window: Window) -> float:
    """Until its first token, or as long as it was watched."""
    return (record.first_s if record.first_s >= 0 else window.end_s) - record.asked_s


def tpot(record: Record) -> float | None:
    """Mean time between its tokens, once it has ended; None when there was but one."""
    if record.ended_s < 0 or record.completion_tokens < 2:
        return None
    return (record.ended_s - record.first_s) / (record.completion_tokens - 1)


def is_good(record: Record, window: Window) -> bool:
    """Within the objective, as far as it was watched: an answer that is still being written is
    judged by what there is of it."""
    if record.first_s < 0 or ttft(record, window) > TTFT_SLO_S:
        return False
    if record.ended_s < 0:
        return True
    return (tpot(record) or 0.0) <= TPOT_SLO_S
