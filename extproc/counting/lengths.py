"""How long answers were, for each key and model: what the next one will probably not exceed."""

import math
from array import array
from collections import OrderedDict

DEFAULT_TOKENS = 1_024
"""Before anything is known: a guess on the large side. It is forgotten after `LEAST_SEEN` answers."""
SHARE = 0.9
"""Of answers that are no longer than what is expected."""
LEAST_SEEN = 20
"""Answers; before that a key is expected to behave as all users of the model together."""
ENTRIES = 10_000
"""Keys and models that are remembered; 1.2 kB each, measured: 12 MB."""
PER_OCTAVE = 4
"""Steps for each doubling: an expectation is up to 19 % above what was seen."""
STEPS = 20 * PER_OCTAVE + 1
"""Up to a million tokens."""
HALF_LIFE = 200
"""Answers after which one counts half."""
MOST_WEIGHT = 1e12


class Histogram:
    """Lengths, the older the lighter."""

    __slots__ = ("_expected_tokens", "_steps", "_total", "_weight", "seen")

    def __init__(self) -> None:
        self._steps = array("d", bytes(8 * STEPS))
        self._total = 0.0
        self._weight = 1.0
        self.seen = 0
        self._expected_tokens = DEFAULT_TOKENS
        """0: to be found anew."""

    @property
    def expected_tokens(self) -> int:
        """What `SHARE` of all do not exceed. Found when it is asked for: every worker learns from all
        answers, and decides on some."""
        if not self._expected_tokens:
            self._expected_tokens = self._find()
        return self._expected_tokens

    def learn(self, tokens: int) -> None:
        """Add one. The later ones weigh more, which is the same as making all earlier ones lighter."""
        step = min(int(math.log2(max(tokens, 1)) * PER_OCTAVE), STEPS - 1)
        self._weight *= 2 ** (1 / HALF_LIFE)
        self._steps[step] += self._weight
        self._total += self._weight
        self.seen += 1
        if self._weight > MOST_WEIGHT:
            self._steps = array("d", (each / self._weight for each in self._steps))
            self._total /= self._weight
            self._weight = 1.0
        self._expected_tokens = 0

    def _find(self) -> int:
        """Return the upper edge of the step that `SHARE` of all are at or below."""
        above, allowed = 0.0, self._total * (1 - SHARE)
        for step in range(STEPS - 1, -1, -1):
            above += self._steps[step]
            if above > allowed:
                return int(2 ** ((step + 1) / PER_OCTAVE))
        return 1


class Lengths:
    """All of them, within bounds. What to expect of a key is one look-up."""

    def __init__(self, entries: int = ENTRIES) -> None:
        self._most = entries
        self._known: OrderedDict[tuple[str, str], Histogram] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def learn(self, key_id: str, model: str, tokens: int) -> None:
        """Note the length of one answer, for this key and for the model."""
        for pair in {(key_id, model), ("", model)}:
            found = self._known.get(pair)
            if found is None:
                found = self._known[pair] = Histogram()
            self._known.move_to_end(pair)
            found.learn(tokens)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def expect(self, key_id: str, model: str) -> int:
        """Tokens that nine in ten answers do not exceed: of this key, else of all to this model."""
        for pair in ((key_id, model), ("", model)):
            found = self._known.get(pair)
            if found is not None and found.seen >= LEAST_SEEN:
                return found.expected_tokens
        return DEFAULT_TOKENS
