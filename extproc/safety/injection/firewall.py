"""The texts of a request -> how much of an attack it is, which rules say so, and where."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType

import msgspec

from extproc.dialects.texts import Text
from extproc.dialects.textual import Speaker
from extproc.safety.injection.matching import Found, Matcher

THRESHOLDS: Mapping[Speaker, float] = MappingProxyType(
    {"user": 0.6, "tool": 0.5, "other": 0.5, "definition": 0.7, "assistant": 0.9}
)
"""From which score on a text is an attack. What tools and documents bring has no orders to give; models
quote what they were asked; whoever writes the system prompt may say what they like."""
SHORT_CHARS = 400
"""Longer texts can hold an attack alone."""
MOST_JOINED_CHARS = 4096


class Flagged(msgspec.Struct, frozen=True):
    """A text that is an attack, or that one goes on in."""

    text: Text
    found: Found
    parts: Sequence[Text] = ()
    """The texts that it is cut into, where it is no text of the request."""


class Verdict(msgspec.Struct, frozen=True):
    """What is to be thought of a request."""

    score: float = 0.0
    """Of the worst text, whether it is above its threshold or not."""
    flagged: Sequence[Flagged] = ()
    """The worst first."""

    @property
    def rules(self) -> Sequence[str]:
        """Ids of the rules that say so."""
        return tuple(dict.fromkeys(name for each in self.flagged for name in each.found.rules))

    @property
    def families(self) -> Sequence[str]:
        return tuple(dict.fromkeys(name for each in self.flagged for name in each.found.families))


class Firewall:
    """One rulebook and its thresholds. Any thread may use it."""

    def __init__(self, matcher: Matcher, thresholds: Mapping[Speaker, float] = THRESHOLDS) -> None:
        """A speaker without a threshold is not listened to."""
        self.matcher = matcher
        self._thresholds = thresholds

    @property
    def version(self) -> str:
        return self.matcher.version

    def judge(self, texts: Iterable[Text]) -> Verdict:
        """Cost: that of `Matcher.find` for all text, and once more for parts that are short."""
        worst = 0.0
        flagged: list[Flagged] = []
        alone = [(text, ()) for text in texts]
        for text, parts in (*alone, *join_short([text for text, _ in alone])):
            threshold = self._thresholds.get(text.speaker)
            if threshold is None:
                continue
            found = self.matcher.find(text.text, text.speaker)
            worst = max(worst, found.score)
            if found.score >= threshold:
                flagged.append(Flagged(text, found, parts))
        flagged.sort(key=lambda each: -each.found.score)
        return Verdict(worst, tuple(flagged))

    def is_attack(self, text: str, speaker: Speaker) -> bool:
        threshold = self._thresholds.get(speaker)
        return threshold is not None and self.matcher.find(text, speaker).score >= threshold


def join_short(texts: Sequence[Text]) -> Iterable[tuple[Text, Sequence[Text]]]:
    """Join what one speaker says in several short parts of one message: an attack may be cut in pieces.
    The place is that of the first. Return the parts as well."""
    groups: dict[tuple[object, ...], list[Text]] = {}
    for text in texts:
        if len(text.text) <= SHORT_CHARS and len(text.place) > 2:
            groups.setdefault((text.speaker, *text.place[:2]), []).append(text)
    for parts in groups.values():
        if len(parts) > 1:
            joined = " ".join(part.text for part in parts)[:MOST_JOINED_CHARS]
            begins = accumulate((len(part.text) + 1 for part in parts), initial=0)
            heard = [part for part, at in zip(parts, begins, strict=False) if at < len(joined)]
            yield Text(parts[0].place, parts[0].speaker, joined), heard
