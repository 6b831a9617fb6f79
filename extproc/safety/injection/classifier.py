"""Another opinion on texts: that of a classifier which runs as a service.

It is asked about windows, for what classifies reads some hundred words at once. What it says is compared with its
own threshold: its scores and those of rules are no chances of the same thing, and do not add up. A text is an
attack if either says so.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

import msgspec

from extproc.dialects.texts import Text
from extproc.dialects.textual import Speaker
from extproc.safety.injection.firewall import Flagged, Verdict
from extproc.safety.injection.matching import Found
from extproc.safety.injection.strip import REMOVED

FAMILY = "classifier"


class Classifier(Protocol):
    """A service that tells attacks from other texts."""

    async def classify(self, texts: Sequence[str]) -> Sequence[float]:
        """Say of each how likely it is an attack, from 0 to 1. Raises: DetectorError."""
        ...


class TooLongError(Exception):
    """There is more text than is to be classified."""


class Span(msgspec.Struct, frozen=True):
    """A window of a text, and what is thought of it."""

    start: int
    end: int
    score: float


class Windows(msgspec.Struct, frozen=True):
    """How texts are cut."""

    speakers: AbstractSet[Speaker]
    """Whose words are sent."""
    bytes: int = 1500
    """Of each, in UTF-8: a model reads some hundred tokens, and a Chinese character of three bytes is one,
    as are four letters."""
    most: int = 64

    def cut(self, texts: Iterable[Text]) -> Sequence[tuple[Text, int, int]]:
        """Cut what is to be classified; blank windows say nothing. Raises: TooLongError."""
        found: list[tuple[Text, int, int]] = []
        for text in texts:
            if text.speaker not in self.speakers:
                continue
            for start, end in self.bounds(text.text):
                if not text.text[start:end].strip():
                    continue
                found.append((text, start, end))
                if len(found) > self.most:
                    raise TooLongError
        return found

    def bounds(self, text: str) -> Iterator[tuple[int, int]]:
        """Say where windows begin and end. Each begins a tenth before the end of the one before it."""
        start, end = 0, 0
        while end < len(text):
            # What is cut within a character leaves it to the next window.
            fitting = text[start : start + self.bytes].encode("utf-8", "replace")[: self.bytes]
            size = len(fitting.decode("utf-8", "ignore"))
            end = start + size
            yield start, end
            start = end - size // 10


class Opinion(msgspec.Struct, frozen=True):
    """What a classifier thinks of a request."""

    verdict: Verdict
    spans: Mapping[int, Sequence[Span]]
    """The windows that are attacks, by the number of the text in `verdict.flagged`."""


async def classify(
    texts: Iterable[Text], by: Classifier, windows: Windows, threshold: float, rule: str
) -> Opinion:
    """Ask. What stands there twice is asked about once. `rule` is what is told to have found it.

    Raises:
        DetectorError: It did not answer.
        TooLongError: It was not asked.
    """
    cuts = windows.cut(texts)
    unique = list(dict.fromkeys(text.text[start:end] for text, start, end in cuts))
    if not unique:
        return Opinion(Verdict(), {})
    known = dict(zip(unique, await by.classify(unique), strict=True))
    spans: dict[Text, list[Span]] = {}
    for text, start, end in cuts:
        score = known[text.text[start:end]]
        if score >= threshold:
            spans.setdefault(text, []).append(Span(start, end, score))
    ordered = sorted(spans, key=lambda text: -worst(spans[text]))
    flagged = tuple(
        Flagged(text, Found(worst(spans[text]), {rule: worst(spans[text])}, (FAMILY,)))
        for text in ordered
    )
    verdict = Verdict(round(max(known.values()), 3), flagged)
    return Opinion(verdict, {number: spans[text] for number, text in enumerate(ordered)})


def worst(spans: Iterable[Span]) -> float:
    return round(max(each.score for each in spans), 3)


def take_out(text: str, spans: Sequence[Span]) -> str:
    """Leave a mark where windows were, one for those that overlap."""
    kept: list[str] = []
    done = 0
    for span in sorted(spans, key=lambda each: each.start):
        if span.start >= done:
            kept += (text[done : span.start], REMOVED)
        done = max(done, span.end)
    return "".join(kept) + text[done:]
