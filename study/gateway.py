"""One replica of the gateway, as far as picking goes: what it has seen, what it expects, its picker.

It knows what the product knows and nothing else: looks at what engines export, what it has sent where
itself, and KV events if engines tell. Replicas share nothing.
"""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from random import Random

import msgspec

from engines.load import Load
from engines.rates import RateLearner, Rates
from extproc.routing.candidate import Asked, Candidate, Choice, Picker
from extproc.routing.prefixes import Prefixes
from study.threads import BLOCK_TOKENS, Ask

GATEWAY_BLOCK_TOKENS = 64
"""Where engines do not tell: a block of theirs is less than worth remembering."""


class Sight(msgspec.Struct, frozen=True):
    """How well a gateway sees. As it stands: as in the product."""

    look_s: float = 0.2
    """Between two looks at an endpoint: 5 Hz."""
    late_s: float = 0.005
    """Age of a look when it arrives."""
    is_precise: bool = False
    """Engines tell of their caches by KV events."""
    lost: float = 0.0
    """Share of the batches of these that do not arrive."""
    replays: bool = True
    """What was lost is told again when the next batch shows the gap, as the product asks for it.
    Otherwise nothing is known of that cache any more."""
    prefill_error: float = 1.0
    """What learned prefill rates are multiplied by."""
    counts_in_flight: bool = True
    keeps_rates: bool = True
    """Learns from looks how fast engines are; a tenth of a run's time."""
    keeps_prefixes: bool = True
    """Remembers which prompts went where."""


class Sent(msgspec.Struct):
    """A request that has not ended."""

    endpoint: str
    at_s: float
    tokens: int
    is_seen: bool = False


class Gateway:
    """Picks endpoints."""

    def __init__(
        self,
        picker: Picker,
        prefixes: Prefixes,
        endpoints: Sequence[str],
        sight: Sight,
        chance: Random,
    ) -> None:
        self._picker, self._prefixes, self._sight, self._chance = picker, prefixes, sight, chance
        self._candidates = {name: Candidate(name) for name in endpoints}
        self._listed = list(self._candidates.values())
        self._learners = {name: RateLearner() for name in endpoints}
        self._unseen: Mapping[str, deque[Sent]] = {name: deque() for name in endpoints}
        self._sent: dict[str, Sent] = {}
        self._missed = defaultdict[str, list[tuple[Sequence[int], Sequence[int]]]](list)

    def look(self, endpoint: str, at_s: float, load: Load) -> None:
        """Take note of what an engine exported then."""
        candidate = self._candidates[endpoint]
        if not self._sight.is_precise and candidate.load.blocks != load.blocks:
            tokens = load.blocks * load.block_tokens
            self._prefixes.size(endpoint, tokens // GATEWAY_BLOCK_TOKENS)
        candidate.load, candidate.seen_s = load, at_s
        if self._sight.keeps_rates:
            candidate.rates = self._learn(endpoint, at_s, load)
        self._count_seen(candidate, at_s)

    def _learn(self, endpoint: str, at_s: float, load: Load) -> Rates:
        rates, error = self._learners[endpoint].look(load, at_s), self._sight.prefill_error
        if rates.prefill_tokens_per_s is None or error == 1:
            return rates
        wrong = rates.prefill_tokens_per_s * error
        return msgspec.structs.replace(rates, prefill_tokens_per_s=wrong)

    def _count_seen(self, candidate: Candidate, at_s: float) -> None:
        unseen = self._unseen[candidate.endpoint]
        while unseen and unseen[0].at_s < at_s:
            sent = unseen.popleft()
            if not sent.is_seen:
                sent.is_seen = True
                candidate.unseen -= 1
                candidate.unseen_tokens -= sent.tokens

    def pick(self, ask: Ask, expected_tokens: int, now_s: float) -> Choice:
        """Choose, and count on it."""
        asked = self._asked(ask, expected_tokens)
        choice = self._picker.choose(asked, self._listed, now_s)
        endpoint = choice.endpoints[0]
        if self._sight.keeps_prefixes:
            self._prefixes.note(endpoint, asked.blocks, now_s)
        if self._sight.counts_in_flight:
            sent = Sent(endpoint, now_s, max(0, ask.prompt_tokens - choice.cached_tokens))
            self._sent[ask.key] = sent
            self._unseen[endpoint].append(sent)
            candidate = self._candidates[endpoint]
            candidate.in_flight += 1
            candidate.in_flight_tokens += sent.tokens
            candidate.unseen += 1
            candidate.unseen_tokens += sent.tokens
        return choice

    def _asked(self, ask: Ask, expected_tokens: int) -> Asked:
        step = 1 if self._sight.is_precise else GATEWAY_BLOCK_TOKENS // BLOCK_TOKENS
        return Asked(
            key=ask.key,
            prompt_tokens=ask.prompt_tokens,
            blocks=ask.blocks[step - 1 : ask.prompt_tokens // BLOCK_TOKENS : step],
            block_tokens=step * BLOCK_TOKENS,
            completion_tokens=expected_tokens,
        )

    def ended(self, key: str) -> None:
        """Count on it no longer."""
        sent = self._sent.pop(key, None)
        if sent is None:
            return
        candidate = self._candidates[sent.endpoint]
        candidate.in_flight -= 1
        candidate.in_flight_tokens -= sent.tokens
        if not sent.is_seen:
            sent.is_seen = True
            candidate.unseen -= 1
            candidate.unseen_tokens -= sent.tokens

    def changed(self, endpoint: str, stored: Sequence[int], removed: Sequence[int]) -> None:
        """Take note of a batch of KV events, or lose it."""
        if self._sight.lost and self._chance.random() < self._sight.lost:
            self._missed[endpoint].append((stored, removed))
            return
        missed = self._missed.pop(endpoint, [])
        if missed and not self._sight.replays:
            self._prefixes.clear(endpoint)
            missed = []
        for more, less in (*missed, (stored, removed)):
            self._prefixes.store(endpoint, more)
            self._prefixes.remove(endpoint, less)
