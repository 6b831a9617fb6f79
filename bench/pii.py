"""What the shipped patterns find of made-up personal data: `python -m bench.pii` prints a table by type.

The corpus is `tests/extproc/safety/pii/corpus.py`: seeded, and sharing nothing with the patterns.
"""

from collections.abc import Sequence
from typing import NamedTuple

from extproc.safety.pii.engine import Said, shipped
from extproc.safety.pii.finding import Finding, resolve
from tests.extproc.safety.pii.corpus import Sample, negatives, positives


class Row(NamedTuple):
    type: str
    count: int
    found: int
    """Covered whole, under the right type."""
    exact: int
    """And not a character more."""
    wrong: int
    """Found where nothing of the type is."""


def measure(good: Sequence[Sample], bad: Sequence[Sample]) -> Sequence[Row]:
    """Look through each sample alone."""
    engine = shipped()
    tallies: dict[str, list[int]] = {}
    for sample in (*good, *bad):
        findings = resolve(engine.find([Said(sample.text)])[0])
        if sample.type:
            tally = tallies.setdefault(sample.type, [0, 0, 0, 0])
            start = sample.text.find(sample.value)
            end = start + len(sample.value)
            right = [each for each in findings if covers(each, sample.type, start, end)]
            tally[0] += 1
            tally[1] += bool(right)
            tally[2] += any((each.start, each.end) == (start, end) for each in right)
            findings = [each for each in findings if each.end <= start or each.start >= end]
        for each in findings:
            tallies.setdefault(each.type, [0, 0, 0, 0])[3] += 1
    return [Row(kind, *tally) for kind, tally in tallies.items()]


def covers(finding: Finding, kind: str, start: int, end: int) -> bool:
    return finding.type == kind and finding.start <= start and finding.end >= end


def main() -> None:
    good, bad = list(positives()), list(negatives())
    rows = sorted(measure(good, bad))
    print("| type | values | found | exactly | recall | wrong |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in rows:
        recall = f"{row.found / row.count:.3f}" if row.count else "-"
        print(f"| {row.type} | {row.count} | {row.found} | {row.exact} | {recall} | {row.wrong} |")
    found, wrong = sum(row.found for row in rows), sum(row.wrong for row in rows)
    recall, precision = found / len(good), found / (found + wrong)
    print(
        f"\n{len(good)} values, {len(bad)} texts without any: "
        f"recall {recall:.4f}, precision {precision:.4f}"
    )


if __name__ == "__main__":
    main()
