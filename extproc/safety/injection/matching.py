"""One text -> its score: every view and layer of it, the rules that speak, and what speaks against them.

Scores of different rules add up as chances do: two of 0.5 make 0.75. What a rule says counts once, however often
it says it; a rule is damped where the same sentence, or the next to it, talks about attacks. Who writes more
damped attacks than anybody discusses is not believed.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from math import prod

import msgspec

from extproc.dialects.textual import Speaker
from extproc.safety.injection.layers import Layer, find_layers
from extproc.safety.injection.normal import normalise
from extproc.safety.injection.rulebook import Hit, Rulebook
from extproc.safety.injection.rules import Cue, Rule

NEAR_BYTES = 1024
MOST_TALK = 6
"""Places of one rule, in a neighbourhood, that may be talk about attacks."""
REACH_BYTES = 400
"""How far talk about attacks reaches, whatever sentences there are."""
LEAST_FACTOR = 0.15
ENCODED_SCORE = 0.5
"""Of an attack, beside its own: nobody has to encode what is harmless."""
SQUEEZED_BYTES = 4096
MOST_LAYERS = 80
LEAST_TOLD = 0.15
"""Weaker words in a layer are no sign of an attack."""


class Found(msgspec.Struct, frozen=True):
    """What is in a text."""

    score: float = 0.0
    """Between 0 and 1."""
    rules: Mapping[str, float] = {}
    """By id, what each says after damping; the strongest first."""
    families: Sequence[str] = ()


class Matcher:
    """The shipped rules and perhaps others, less those that are switched off. Any thread may use it."""

    def __init__(self, *books: Rulebook, off: frozenset[str] = frozenset()) -> None:
        self._books = books
        self._off = off

    @property
    def version(self) -> str:
        """Of all rules: a decision says by which it was made."""
        own = [f"-{name}" for name in sorted(self._off)]
        return "+".join(book.version for book in self._books) + "".join(own)[:64]

    def find(self, text: str, speaker: Speaker) -> Found:
        """Look through all of it. Linear: 1 to 6 ms for 64 kB (`bench.injection`)."""
        normal = normalise(text)
        counts = dict(normal.signals)
        said = self._read(normal.shown, normal.words, speaker)
        if normal.folded:
            merge(said, self._read("", normal.folded, speaker))
        layers = find_layers(text, normal.shown)
        if normal.smuggled:
            layers.append(Layer("tags", normal.smuggled))
        for layer in layers[:MOST_LAYERS]:
            if layer.how == "spent":
                counts["spent"] = 1
                continue
            inner = self._read_layer(layer, speaker)
            if any(name not in said and score >= LEAST_TOLD for name, (score, _) in inner.items()):
                merge(said, inner)
                merge(said, {f"encoded.{layer.how}": (ENCODED_SCORE, "encoded")})
        merge(said, dict(self._heed(counts)))
        return add_up(said)

    def _heed(self, counts: Mapping[str, int]) -> Iterator[tuple[str, tuple[float, str]]]:
        for book in self._books:
            for signal in book.signals:
                if counts.get(signal.signal, 0) >= signal.least and signal.id not in self._off:
                    yield signal.id, (signal.score, "hidden")

    def _read_layer(self, layer: Layer, speaker: Speaker) -> dict[str, tuple[float, str]]:
        if layer.squeezed:
            return dict(self._read_squeezed(layer.text))
        inner = normalise(layer.text)
        return self._read(inner.shown, inner.words, speaker)

    def _read_squeezed(self, text: str) -> Iterator[tuple[str, tuple[float, str]]]:
        raw = text.lower().encode(errors="replace")[:SQUEEZED_BYTES]
        for pattern in (each for book in self._books for each in book.squeezed):
            rule = pattern.source
            if not isinstance(rule, Rule) or rule.id in self._off:
                continue
            if pattern.squeezed_regexp.search(raw):
                yield rule.id, (rule.score, rule.family)

    def _read(self, shown: str, words: str, speaker: Speaker) -> dict[str, tuple[float, str]]:
        """Say what each rule says, after damping."""
        raw = words.encode(errors="replace")
        found = chain.from_iterable(book.words.find(raw, speaker) for book in self._books)
        said = weigh(self._wanted(found), raw)
        if shown:
            raw = shown.encode(errors="replace")
            found = chain.from_iterable(book.shown.find(raw, speaker) for book in self._books)
            merge(said, weigh(self._wanted(found), b""))
        return said

    def _wanted(self, hits: Iterable[Hit]) -> Iterable[Hit]:
        return (hit for hit in hits if hit.source.id not in self._off) if self._off else hits


def weigh(hits: Iterable[Hit], raw: bytes) -> dict[str, tuple[float, str]]:
    """Say what each rule says, by id, with its family, where together they say most. Rules add up only within
    a neighbourhood: a long text has a weak word of every kind somewhere."""
    places: dict[tuple[int, str], list[Hit]] = {}
    rules: dict[str, Rule] = {}
    cues: list[Hit] = []
    for hit in hits:
        source = hit.source
        if isinstance(source, Cue):
            cues.append(hit)
            continue
        rules[source.id] = source
        known = places.setdefault((hit.start // NEAR_BYTES, source.id), [])
        if len(known) <= MOST_TALK:
            known.append(hit)
    talk = Talk(cues, raw)
    by_bucket: dict[int, dict[str, tuple[float, str]]] = {}
    for (bucket, name), each in places.items():
        said = (rules[name].score * talk.damp(rules[name], each), rules[name].family)
        by_bucket.setdefault(bucket, {})[name] = said
    best: dict[str, tuple[float, str]] = {}
    for bucket, said_here in by_bucket.items():
        merge(said_here, by_bucket.get(bucket + 1, {}))
        if not best or total(said_here) > total(best):
            best = said_here
    return best


class Talk:
    """The cues of a text, by place."""

    def __init__(self, cues: Sequence[Hit], raw: bytes) -> None:
        self._cues = sorted(cues, key=lambda hit: hit.start)
        self._starts = [hit.start for hit in self._cues]
        self._raw = raw

    def damp(self, rule: Rule, hits: Sequence[Hit]) -> float:
        """Say what is left of a rule: of the place of it where least speaks against it."""
        if not self._cues or len(hits) > MOST_TALK:
            return 1.0
        return max(self._damp(rule, hit) for hit in hits)

    def _damp(self, rule: Rule, hit: Hit) -> float:
        raw = self._raw
        first = raw.rfind(b". ", 0, max(0, raw.rfind(b". ", 0, hit.start)))
        last = raw.find(b". ", raw.find(b". ", hit.end) + 1 or len(raw))
        first = max(first, hit.start - REACH_BYTES)
        last = min(last if last >= 0 else len(raw), hit.end + REACH_BYTES)
        near: dict[str, float] = {}
        for place in self._cues[bisect_left(self._starts, first) : bisect_left(self._starts, last)]:
            cue = place.source
            if isinstance(cue, Cue) and (not cue.families or rule.family in cue.families):
                near[cue.id] = cue.factor
        return max(LEAST_FACTOR, prod(near.values()))


def merge(said: dict[str, tuple[float, str]], more: Mapping[str, tuple[float, str]]) -> None:
    """Keep the stronger of what a rule says."""
    for name, each in more.items():
        if name not in said or said[name][0] < each[0]:
            said[name] = each


def total(said: Mapping[str, tuple[float, str]]) -> float:
    return 1.0 - prod(1.0 - score for score, _ in said.values())


def add_up(said: Mapping[str, tuple[float, str]]) -> Found:
    ordered = sorted(said.items(), key=lambda item: -item[1][0])
    rules = {name: round(score, 3) for name, (score, _) in ordered}
    families = tuple(dict.fromkeys(each for _, (_, each) in ordered))
    return Found(round(total(said), 3), rules, families)
