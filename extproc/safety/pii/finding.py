"""Something that was found in a text, and which of several that overlap is taken."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

LEAST_REST = 3
"""Characters that are left of a finding, where a better one takes a part of it, and still count."""


class Finding(msgspec.Struct, frozen=True):
    """Where it stands, in code points of one text."""

    type: str
    start: int
    end: int
    rank: int = 0
    """Of two that overlap the higher one is taken; of equals the longer."""


def resolve(
    findings: Iterable[Finding], strength: Callable[[Finding], int] = lambda _: 0
) -> Sequence[Finding]:
    """Choose findings that do not overlap, in order. What the others had beside them stays found:
    nothing that was found remains uncovered. `strength` goes before the rank. n log n, as long as not
    thousands overlap one another."""
    chosen: list[Finding] = []
    for group in overlapping(findings):
        chosen += group if len(group) == 1 else choose(group, strength)
    return chosen


def overlapping(findings: Iterable[Finding]) -> Iterator[Sequence[Finding]]:
    """Part them, in order: none overlaps one of another group."""
    group, end = list[Finding](), 0
    for each in sorted(findings, key=lambda each: each.start):
        if group and each.start >= end:
            yield group
            group, end = [], 0
        group.append(each)
        end = max(end, each.end)
    if group:
        yield group


def choose(findings: Sequence[Finding], strength: Callable[[Finding], int]) -> Sequence[Finding]:
    best = sorted(
        findings, key=lambda each: (-strength(each), -each.rank, each.start - each.end, each.start)
    )
    starts: list[int] = []
    taken: list[Finding] = []
    for each in best:
        for free in uncovered(each, starts, taken):
            index = bisect_right(starts, free.start)
            starts.insert(index, free.start)
            taken.insert(index, free)
    return taken


def uncovered(
    finding: Finding, starts: Sequence[int], taken: Sequence[Finding]
) -> Sequence[Finding]:
    """Return the parts of a finding that none of the others covers."""
    index = max(0, bisect_right(starts, finding.start) - 1)
    at, free = finding.start, list[Finding]()
    while index < len(taken) and taken[index].start < finding.end:
        other = taken[index]
        if other.end > finding.start:
            if other.start > at:
                free.append(part(finding, at, other.start))
            at = max(at, other.end)
        index += 1
    if at == finding.start:
        return (finding,)
    if at < finding.end:
        free.append(part(finding, at, finding.end))
    return [each for each in free if each.end - each.start >= LEAST_REST]


def part(finding: Finding, start: int, end: int) -> Finding:
    return msgspec.structs.replace(finding, start=start, end=end)
