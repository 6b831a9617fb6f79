"""Answers against books. Pure: everything that is wrong, by request id.

A fault excuses some things, for the requests that it met and for no others. What is never excused: a
request that is there twice, tokens that differ from those the client was told, a row without a
request, sums that differ between tables, a ledger above the engines' counters, or below them by more
than those requests can account for that did not end whole.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from faults.answer import Answer, End
from faults.books import Line, Totals
from faults.excuse import NONE, Excuse, Window
from faults.flaws import flaws
from faults.stand import Tokens
from faults.sums import engines_that_differ, strangers, sums_that_differ, unattributed

BROKEN = frozenset({End.CUT, End.LOST, End.REFUSED, End.HUNG})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is judged."""

    answers: Sequence[Answer]
    lines: Sequence[Line]
    totals: Mapping[str, Totals]
    engines: Mapping[str, Tokens]
    """What each endpoint has counted."""
    window: Window
    excuse: Excuse
    more: Sequence[str] = field(default=())
    """Problems found by other means."""

    def excuse_of(self, answer: Answer) -> Excuse:
        return self.excuse if self.window.met(answer) else NONE


class Verdict(msgspec.Struct, frozen=True):
    """What became of the requests of one case."""

    requests: int
    errors: int
    """Answered with 5xx."""
    broken: int
    """Connections refused, lost or cut by the gateway."""
    rows: int
    unsettled: int
    untold: int
    """Answered whole, and the ledger does not know how they ended."""
    absent: int
    """Requests without a row that need not have one."""
    unattributed_prompt_tokens: int
    """Counted by engines and booked for nobody."""
    unattributed_completion_tokens: int
    problems: Sequence[str]


def judge(evidence: Evidence) -> Verdict:
    answers, lines, engines = evidence.answers, evidence.lines, evidence.engines
    by_id: defaultdict[str | None, list[Line]] = defaultdict(list)
    for line in lines:
        by_id[line.request_id].append(line)
    problems = [
        *(
            f"{answer.request_id} ({answer.shape}, {answer.end}): {flaw}"
            for answer in answers
            for flaw in flaws(answer, by_id[answer.request_id], evidence.excuse_of(answer))
        ),
        *strangers(answers, lines),
        *sums_that_differ(lines, evidence.totals),
        *engines_that_differ(answers, lines, by_id, engines),
        *evidence.more,
    ]
    rest = unattributed(lines, engines)
    whole = [answer for answer in answers if answer.end is End.WHOLE]
    return Verdict(
        requests=len(answers),
        errors=sum((answer.status or 0) >= 500 for answer in answers),
        broken=sum(answer.end in BROKEN for answer in answers),
        rows=len(lines),
        unsettled=sum(line.unsettled for line in lines),
        untold=sum(line.unsettled for answer in whole for line in by_id[answer.request_id]),
        absent=sum(not by_id[answer.request_id] for answer in answers),
        unattributed_prompt_tokens=rest.prompt,
        unattributed_completion_tokens=rest.generation,
        problems=problems,
    )
