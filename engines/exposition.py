"""Prometheus' text format, as far as adapters need it: some metrics out of many, at 5 Hz.

A general parser takes 6 ms for vLLM's 50 kB. Here a line is only looked at closely when its name
is wanted, and labels only when they are asked for. Source of the format: prometheus.io,
"Exposition formats".
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from engines.load import Total

MOST_BYTES = 4 * 1024 * 1024
"""Longest text that is read. vLLM's has 50 kB for each engine behind one server."""
MOST_LINES = 50_000
"""Bounds time and memory whatever the lines are: 15 ms."""
MOST = 2.0**47
"""Above this no count is meant, and 50 000 of them would not fit into the 64 bits that workers are told
them in: such a value is ignored, as is one below 0, an infinity or NaN."""
MOST_BUCKETS = 256
"""Of one histogram. vLLM's have about 20; all of them are told to every worker at each look."""
MOST_HEAD_BYTES = 1024
"""Longest beginning of a sample that is remembered; what has a hundred adapters in it is read anew."""

SAMPLE = re.compile(rb'[^{]*\{((?:[^"}]|"(?:[^"\\]|\\.)*+")*+)\}\s*(\S+)')
"""A sample with labels: these, and its value. Braces and quotes may stand in the values of labels."""
LABEL = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*+)"')
ESCAPE = re.compile(rb"\\(.)")


class UnreadableError(ValueError):
    """A text that is no metrics of the engine it should be of."""


class Sample:
    """One line that was wanted."""

    __slots__ = ("line", "value")

    def __init__(self, line: bytes, value: float) -> None:
        self.line = line
        self.value = value

    def label(self, name: str) -> str | None:
        return self.labels().get(name)

    def labels(self) -> Mapping[str, str]:
        """About 1 us for each label, 0.3 us for all when they were read before."""
        head = self.line.rpartition(b" ")[0]
        return remember_labels(head) if len(head) <= MOST_HEAD_BYTES else read_labels(head)


class Exposition:
    """The samples of the metrics in `names`. What is not there adds up to 0."""

    def __init__(self, text: bytes, names: Iterable[bytes]) -> None:
        """Raises: UnreadableError for a text that is too long, or cut, or has a value that is no number."""
        if len(text) > MOST_BYTES:
            raise UnreadableError(f"it is longer than {MOST_BYTES} bytes")
        lines = text.split(b"\n", MOST_LINES)
        if lines.pop():
            # The format ends each line: this one is a part, and its number may be one too.
            raise UnreadableError("it is cut, or has too many lines")
        found: dict[bytes, list[Sample]] = {name: [] for name in names}
        for line in lines:
            name, brace, _ = line.partition(b"{")
            if not brace:
                name, _, _ = line.partition(b" ")
            samples = found.get(name)
            if samples is not None and (value := read_value(line, name)) is not None:
                samples.append(Sample(line, value))
        self._found = found

    def need(self, *names: bytes) -> None:
        """Raises: UnreadableError unless all of these are there."""
        for name in names:
            if not self._found[name]:
                raise UnreadableError(f"it has no {name.decode()}")

    def samples(self, name: bytes) -> Sequence[Sample]:
        return self._found[name]

    def sum(self, name: bytes) -> float:
        """Add up all series."""
        return sum(sample.value for sample in self._found[name])

    def mean_share(self, name: bytes) -> float:
        """Average all series of a share between 0 and 1."""
        samples = self._found[name]
        return sum(min(s.value, 1.0) for s in samples) / len(samples) if samples else 0.0

    def total(self, name: bytes) -> Total:
        """Read a histogram."""
        return Total(self.sum(name + b"_sum"), self.sum(name + b"_count"))

    def buckets(self, name: bytes) -> tuple[tuple[float, float], ...]:
        """Read a histogram's buckets, less the infinite one, which is its count.

        Raises:
            UnreadableError: There are too many.
        """
        added: dict[float, float] = {}
        for bound, sample in self._bounds(name + b"_bucket"):
            added[bound] = added.get(bound, 0.0) + sample.value
        if len(added) > MOST_BUCKETS:
            raise UnreadableError(f"{name.decode()} has more than {MOST_BUCKETS} buckets")
        return tuple(sorted(added.items()))

    def _bounds(self, name: bytes) -> Iterator[tuple[float, Sample]]:
        for sample in self._found[name]:
            try:
                bound = float(sample.label("le") or "nan")
            except ValueError:
                continue
            if 0 <= bound <= MOST:
                yield bound, sample


def expect(text: bytes, beginning: bytes) -> None:
    """See that a text is of the engine whose metrics begin like this, where these show up only once
    they have a value: a new engine may have none. Raises: UnreadableError."""
    if text.strip() and beginning not in text:
        raise UnreadableError(f"it has no {beginning.decode()} metrics")


def histogram(name: bytes) -> tuple[bytes, bytes]:
    """Name the samples that `Exposition.total` adds up."""
    return name + b"_sum", name + b"_count"


def read_value(line: bytes, name: bytes) -> float | None:
    """Take the value of a sample; a time may follow it. Raises: UnreadableError."""
    if line[len(name) : len(name) + 1] == b"{" and b" # " in line:
        # An exemplar of OpenMetrics has braces of its own; or some label has such a value.
        matched = SAMPLE.match(line)
        written = matched[2] if matched else b""
    else:
        parts = line[max(line.rfind(b"}") + 1, len(name)) :].split(None, 1)
        written = parts[0] if parts else b""
    try:
        value = float(written)
    except ValueError:
        raise UnreadableError(f"{name.decode()} has a value that is no number") from None
    return value if 0 <= value <= MOST else None


@lru_cache(maxsize=16_384)
def remember_labels(head: bytes) -> Mapping[str, str]:
    """Read labels once: they are the same at every look, and at every engine of a pool."""
    return read_labels(head)


def read_labels(head: bytes) -> Mapping[str, str]:
    """Read the labels of a sample, given without its value."""
    matched = SAMPLE.match(head + b" 0")
    return {
        name.decode(): ESCAPE.sub(unescape, value).decode("utf-8", "replace")
        for name, value in (LABEL.findall(matched[1]) if matched else ())
    }


def unescape(matched: re.Match[bytes]) -> bytes:
    return b"\n" if matched[1] == b"n" else matched[1]


def whole(value: float | str | None) -> int:
    """Read a count that an engine may not know: `None` and other words are 0."""
    try:
        number = float(value or 0)
    except ValueError:
        return 0
    return int(number) if 0 <= number <= MOST else 0
