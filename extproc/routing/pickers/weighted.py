"""Weighted scores, as llm-d's scheduler adds them up: queue, KV cache, prefix, LoRA adapter.

Each scorer gives 0 to 1, 1 is best; the highest sum wins. Costs are sums turned around, so that 0 is
perfect. As there, what was sent since the last look counts only by the scorer `requests`.
"""

from collections.abc import Mapping, Sequence

from extproc.routing.candidate import Asked, Candidate, Rung
from extproc.routing.scored import Scored

ACTIVE, ROOM, WAITING, NONE = 1.0, 0.8, 0.6, 0.0
"""llm-d's `lora-affinity-scorer`: it runs the adapter, could load it, is about to, cannot."""


class Weighted(Scored):
    def weigh(
        self, asked: Asked, among: Sequence[Candidate], rung: Rung, now_s: float
    ) -> Sequence[float]:
        return [sum(terms.values()) for terms in self.split(asked, among, rung, now_s)]

    def split(
        self, asked: Asked, among: Sequence[Candidate], rung: Rung, now_s: float
    ) -> Sequence[Mapping[str, float]]:
        weights = self.settings.weights
        known = rung == "predicted"
        queues = [each.load.waiting if known else each.in_flight for each in among]
        requests = [each.in_flight for each in among]
        matched = self.prefixes.matched(asked.blocks, now_s)
        whole = len(asked.blocks) or 1
        return [
            {
                "queue": weights.queue * queue,
                "kv_cache": weights.kv_cache * (each.load.kv_usage if known else 0.0),
                "prefix": weights.prefix * (1.0 - matched.get(each.endpoint, 0) / whole),
                "adapter": weights.adapter * (1.0 - score_adapter(asked.adapter, each)),
                "requests": weights.requests * count,
            }
            for each, queue, count in zip(among, spread(queues), spread(requests), strict=True)
        ]


def spread(counts: Sequence[int]) -> Sequence[float]:
    """Stretch from 0 for the smallest to 1 for the largest; all equal: 0."""
    least, most = min(counts), max(counts)
    width = (most - least) or 1
    return [(count - least) / width for count in counts]


def score_adapter(adapter: str, candidate: Candidate) -> float:
    if not adapter:
        return ACTIVE
    adapters = candidate.load.adapters
    if adapter in adapters.running:
        return ACTIVE
    if len(adapters.running) + len(adapters.waiting) < adapters.most:
        return ROOM
    return WAITING if adapter in adapters.waiting else NONE
