"""What a detector finds of made-up names: `python -m bench.names http://127.0.0.1:8090/find`.

The corpus is `tests/sidecars/names/corpus.py`. A name counts as found when all of it is covered, under its
type or the other one: it is masked either way.
"""

import argparse
import time
from collections.abc import Sequence
from typing import NamedTuple

import httpx
import msgspec

from sidecars.names.app import Found
from sidecars.names.span import Span
from tests.sidecars.names.corpus import Sample, samples

SEED = 20_261
COUNT = 2_000
AT_ONCE = 50


class Row(NamedTuple):
    """One type of name in one language."""

    language: str
    type: str
    names: int
    found: int
    typed: int
    """And under its own type."""
    wrong: int
    """Found where nothing is, under this type."""

    @property
    def recall(self) -> float:
        return self.found / self.names if self.names else 0.0


def measure(given: Sequence[Sample], answers: Sequence[Sequence[Span]]) -> Sequence[Row]:
    """Compare what was found with what was there."""
    tallies: dict[tuple[str, str], list[int]] = {}
    for sample, spans in zip(given, answers, strict=True):
        places = {kind: place(sample.text, name) for kind, name in sample.names.items()}
        for kind, (start, end) in places.items():
            covering = [each for each in spans if each.start <= start and each.end >= end]
            tally = tallies.setdefault((sample.language, kind), [0, 0, 0, 0])
            tally[0] += 1
            tally[1] += bool(covering)
            tally[2] += any(each.type == kind for each in covering)
        for each in spans:
            if not any(each.start < end and each.end > start for start, end in places.values()):
                tallies.setdefault((sample.language, each.type), [0, 0, 0, 0])[3] += 1
    return [Row(*key, *tally) for key, tally in sorted(tallies.items())]


def place(text: str, name: str) -> tuple[int, int]:
    start = text.index(name)
    return start, start + len(name)


def ask(url: str, given: Sequence[Sample]) -> list[list[Span]]:
    """Let the detector look. Raises: httpx.HTTPError."""
    answers: list[list[Span]] = []
    with httpx.Client(timeout=60) as http:
        for at in range(0, len(given), AT_ONCE):
            texts = [sample.text for sample in given[at : at + AT_ONCE]]
            answer = http.post(url, json={"texts": texts}).raise_for_status()
            answers += msgspec.json.decode(answer.content, type=Found).findings
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.names", description=__doc__)
    parser.add_argument("url", help="of the detector, as in the policy's pii.detector.url")
    url = str(parser.parse_args().url)
    given = samples(SEED, COUNT)
    began_s = time.perf_counter()
    answers = ask(url, given)
    took_s = time.perf_counter() - began_s
    print("| language | type | names | found | under its type | recall | wrong |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for row in measure(given, answers):
        print(
            f"| {row.language} | {row.type} | {row.names} | {row.found} | {row.typed} | {row.recall:.3f} | {row.wrong} |"
        )
    size = sum(len(sample.text) for sample in given)
    print(f"\n{COUNT} texts, {size} characters in {took_s:.1f} s, read for the first time.")


if __name__ == "__main__":
    main()
