"""Latency of late, times how many wait for it: Finagle's and Linkerd's peak EWMA, of TTFT.

TTFT is the engines' own, from their histograms: every worker sees it, also of requests of others.
A peak counts at once, what follows it little by little; where nothing follows it fades, as Finagle's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp

from engines.load import Total
from extproc.routing.candidate import Asked, Candidate, Rung
from extproc.routing.scored import Scored

DECAY_S = 10.0
"""Linkerd's default."""
DEFAULT_S = 0.03
"""Before anything was measured: Linkerd's default. Small, so that a new endpoint is tried."""


@dataclass(slots=True)
class Peak:
    ttft_s: float = DEFAULT_S
    at_s: float = 0.0
    total: Total | None = None


class PeakEwma(Scored):
    """Remembers as many endpoints as it was shown."""

    _peaks: dict[str, Peak] | None = None

    def weigh(
        self, asked: Asked, among: Sequence[Candidate], rung: Rung, now_s: float
    ) -> Sequence[float]:
        del asked
        peaks = self._learn(among)
        fresh_s = now_s - self.settings.fresh_s
        counts = [outstanding(each, fresh_s, rung) for each in among]
        return [
            peaks[each.endpoint].ttft_s * (count + 1)
            for each, count in zip(among, counts, strict=True)
        ]

    def split(
        self, asked: Asked, among: Sequence[Candidate], rung: Rung, now_s: float
    ) -> Sequence[Mapping[str, float]]:
        del asked
        peaks = self._learn(among)
        fresh_s = now_s - self.settings.fresh_s
        return [
            {"ttft_s": peaks[e.endpoint].ttft_s, "requests": outstanding(e, fresh_s, rung)}
            for e in among
        ]

    def _learn(self, among: Sequence[Candidate]) -> Mapping[str, Peak]:
        """Take note of what looks have told since; the same however often it is called."""
        peaks = self._peaks = {} if self._peaks is None else self._peaks
        for each in among:
            peak = peaks.get(each.endpoint)
            if peak is None:
                peak = peaks[each.endpoint] = Peak()
            if each.seen_s > peak.at_s or peak.total is None:
                learn(peak, each)
        return peaks


def learn(peak: Peak, seen: Candidate) -> None:
    before, now = peak.total, seen.load.ttft_s
    passed_s = max(seen.seen_s - peak.at_s, 0.0)
    peak.total, peak.at_s = now, seen.seen_s
    if before is None:
        return
    kept = exp(-passed_s / DECAY_S)
    if now.count <= before.count:  # nothing new, or begun anew
        # A peak fades all the same: nobody asks there before it has.
        peak.ttft_s = min(peak.ttft_s, max(peak.ttft_s * kept, DEFAULT_S))
        return
    told_s = max(now.sum - before.sum, 0.0) / (now.count - before.count)
    peak.ttft_s = max(told_s, peak.ttft_s * kept + told_s * (1.0 - kept), 1e-6)


def outstanding(candidate: Candidate, fresh_s: float, rung: Rung) -> float:
    """Requests there: at least ours, and at most what it tells."""
    if rung == "predicted" and candidate.seen_s >= fresh_s:
        load = candidate.load
        return float(max(load.running + load.waiting + candidate.unseen, candidate.in_flight))
    return float(candidate.in_flight)
