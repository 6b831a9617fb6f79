"""Tokens from the mix of scripts, where there is no tokenizer; learned from what engines say later.

A prompt is taken for a sum: so many tokens for each character of a script, so many for each message.
The rates begin with defaults and follow the truth, each in proportion to its share of the estimate.
"""

from collections.abc import Sequence

from extproc.counting.mix import Mix

DEFAULT_RATES = (0.21, 0.65, 0.65, 0.40)
"""Tokens for each character, by `mix.SCRIPTS`; a little more than most vocabularies need: what was
reserved too much comes back, what was too little is over the limit. Measured with Qwen's vocabulary:
docs/counting.md."""
MESSAGE_TOKENS, REQUEST_TOKENS = 4, 3
"""Around each message, and at the end: ChatML's five and three, Llama 3's four and five."""
LEAST_TOKENS = 16
"""Of text: fewer say little about rates, and much about the template."""
MOST_RATIO = 2.0
"""What one request may say: so many times more, or less, than was thought. Beyond that it is no sample
of text, but an image, a cut prompt, a mistake."""
LEAST_STEP = 0.05
"""How far the latest request moves a rate; half of what it says is gone 14 requests later."""
MOST_DRIFT = 8.0
"""No vocabulary is further from the defaults."""


class Estimator:
    """Of one model. Cost of an estimate: 1 us."""

    def __init__(self, rates: Sequence[float] = DEFAULT_RATES) -> None:
        self._first = tuple(rates)
        self._rates = list(rates)
        self._seen = 0

    @property
    def rates(self) -> Sequence[float]:
        """Tokens for each character, in the order of `mix.SCRIPTS`."""
        return tuple(self._rates)

    def estimate(self, mix: Mix) -> int:
        """One token is the least: an engine takes no empty prompt."""
        return max(1, round(sum(self._parts(mix))) + around(mix))

    def learn(self, mix: Mix, tokens: int) -> None:
        """Take note of what an engine counted for such a prompt."""
        parts = self._parts(mix)
        thought, truth = sum(parts), tokens - around(mix)
        if min(thought, truth) < LEAST_TOKENS:
            return
        ratio = min(max(truth / thought, 1 / MOST_RATIO), MOST_RATIO)
        step = max(1 / (self._seen + 2), LEAST_STEP)
        self._seen += 1
        for index, part in enumerate(parts):
            first = self._first[index]
            moved = self._rates[index] * ratio ** (step * part / thought)
            self._rates[index] = min(max(moved, first / MOST_DRIFT), first * MOST_DRIFT)

    def _parts(self, mix: Mix) -> list[float]:
        return [rate * count for rate, count in zip(self._rates, mix.counts(), strict=True)]


def around(mix: Mix) -> int:
    """Tokens that are no text. A prompt without messages has none."""
    return REQUEST_TOKENS + MESSAGE_TOKENS * mix.messages if mix.messages else 0
