"""The ledger against the engines' own counters: what is missing where, and why. Pure.

Between two looks at an engine its counters grew by so much. The ledger has booked so much for it. The
two are only comparable with care, because requests are under way at both looks:

* Entries that had ended a second before a scrape are *certain*: the engine has counted all of them.
  Only these are held against the counters. If they are more than the engine counted, the ledger has
  booked what never happened, whatever else was going on: that is *drift*.
* Entries that ended around the scrape or after it, and requests that still run (journal and renewals
  tell of them), were counted in part. What they can explain is bounded: by their tokens where these
  are known, else by the time they ran at the engine's own pace. So there is never a need to wait for
  a moment of rest, and never an alarm from a request that ends between scrape and read.
* What an engine counted beyond all that is *unattributed*, and put down to causes:

    choices    n > 1: the engine computes a prompt once for each answer and reports it once. Exact.
    aborts     answers that broke off: the engine goes on until it notices, and reports no end
    retries    attempts that gave no answer: work that nobody was billed for
    unknown    none of these can explain it: somebody uses the engine past the gateway, or rows are lost

Aborts and retries leave no numbers behind. Each can explain so much at most: prompts as long as known or
as twice the longest seen, completions as three times the usual pace for as long as they ran and two
seconds more (vLLM was seen to generate 3.2 times what a client got before it left). What is between
is shared out in proportion to what each can explain. So unknown is a lower bound: all of it is certain.

Not seen: what an engine counted between the last look and its end, and corrections of the same amount in
both directions.
"""

from collections.abc import Mapping

import msgspec

from ledger.looks import Look, Sums

PACE_MARGIN = 3.0
"""Above the mean pace: a fast answer among slow ones."""
LEAST_PACE = 100.0
"""Tokens a second for one answer, when few or none were seen: a small model on a good GPU."""
GRACE_S = 2.0
"""How long an engine may go on after its client has left."""
LENGTH_MARGIN = 2
LEAST_LENGTH = 4096
"""Tokens of a prompt that nobody counted, when no other was seen."""

CAUSES = ("choices", "aborts", "retries", "unknown")


class Split(msgspec.Struct, frozen=True):
    """Tokens of one kind: what both say, and what the difference is put down to."""

    engine: int
    ledger: int
    """Booked for requests that had ended for sure."""
    drift: int = 0
    """Booked beyond what the engine can have counted."""
    in_flight: int = 0
    """Counted for requests that will be booked when they end."""
    choices: int = 0
    aborts: int = 0
    retries: int = 0
    unknown: int = 0


class Finding(msgspec.Struct, frozen=True):
    """What came out for one endpoint between two looks."""

    endpoint: str
    pool: str
    since_ms: int
    at_ms: int
    requests: int
    """Booked. `in_flight`: seen but not ended for sure at `at_ms`."""
    in_flight: int
    prompt: Split
    completion: Split
    lost_tokens: int = 0
    """Booked for an earlier run of the engine, after the last look at its counters: nothing to compare
    with."""

    @property
    def engine_tokens(self) -> int:
        return self.prompt.engine + self.completion.engine

    @property
    def drift_tokens(self) -> int:
        return self.prompt.drift + self.completion.drift

    @property
    def causes(self) -> Mapping[str, int]:
        """Unattributed tokens, of both kinds."""
        return {
            name: getattr(self.prompt, name) + getattr(self.completion, name) for name in CAUSES
        }

    @property
    def unknown_tokens(self) -> int:
        return self.prompt.unknown + self.completion.unknown


class _Most(msgspec.Struct, frozen=True):
    """The most that each cause can explain."""

    choices: int
    in_flight: int
    aborts: int
    retries: int


def compare(first: Look, last: Look) -> Finding:
    """Compare what happened between two looks of one era."""
    sums = last.sums.add(first.sums, -1)
    begun, ended = first.in_flight, last.in_flight
    can = sums.add(begun.recent)
    pace, length = _pace(last.sums), _length(last.sums)
    return Finding(
        endpoint=last.era.endpoint,
        pool=last.era.pool,
        since_ms=first.at_ms,
        at_ms=last.at_ms,
        requests=sums.requests,
        in_flight=ended.requests,
        prompt=_split(
            engine=last.counters.prompt_tokens - first.counters.prompt_tokens,
            ledger=sums.prompt_tokens
            - ended.late_prompt_tokens
            - ended.next_prompt_tokens
            + begun.next_prompt_tokens,
            before=begun.prompt_tokens + begun.blind * length,
            most=_most_prompt(first, last, can, length),
        ),
        completion=_split(
            engine=last.counters.completion_tokens - first.counters.completion_tokens,
            ledger=sums.completion_tokens
            - ended.late_completion_tokens
            - ended.next_completion_tokens
            + begun.next_completion_tokens,
            before=_generated(begun.answers, begun.us, pace),
            most=_most_completion(first, last, can, pace),
        ),
        lost_tokens=sums.lost_prompt_tokens + sums.lost_completion_tokens,
    )


def _split(*, engine: int, ledger: int, before: int, most: _Most) -> Split:
    """`before`: what the engine may have counted before the first look for entries that count here."""
    gap = engine - ledger
    if gap < 0:
        return Split(engine, ledger, drift=max(0, -gap - before))
    choices = min(gap, most.choices)
    in_flight, aborts, retries = share(gap - choices, (most.in_flight, most.aborts, most.retries))
    explained = choices + in_flight + aborts + retries
    return Split(
        engine=engine,
        ledger=ledger,
        in_flight=in_flight,
        choices=choices,
        aborts=aborts,
        retries=retries,
        unknown=gap - explained,
    )


def share(amount: int, most: tuple[int, ...]) -> tuple[int, ...]:
    """Share an amount out in proportion to what each can take, in whole numbers; nobody gets more."""
    most = tuple(max(0, each) for each in most)
    total = sum(most)
    if amount >= total:
        return most
    shares = [amount * each // total for each in most]
    rests = sorted(range(len(most)), key=lambda place: -(amount * most[place] % total))
    for place in rests[: amount - sum(shares)]:
        shares[place] += 1
    return tuple(shares)


def _most_prompt(first: Look, last: Look, sums: Sums, length: int) -> _Most:
    begun, ended = first.in_flight, last.in_flight
    return _Most(
        choices=sums.more_choices,
        in_flight=begun.late_prompt_tokens
        + ended.late_prompt_tokens
        + ended.prompt_tokens
        + ended.blind * length
        + sums.edge_prompt_tokens,
        aborts=sums.aborted_more + sums.aborted_blind * length,
        retries=sums.retried_prompt_tokens + (sums.failed + sums.retried_blind) * length,
    )


def _most_completion(first: Look, last: Look, sums: Sums, pace: float) -> _Most:
    begun, ended = first.in_flight, last.in_flight
    return _Most(
        choices=0,
        in_flight=begun.late_completion_tokens
        + ended.late_completion_tokens
        + _generated(ended.answers, ended.us, pace)
        + sums.edge_completion_tokens,
        aborts=_generated(sums.aborted, sums.aborted_us, pace) - sums.aborted_tokens,
        retries=_generated(sums.failed + sums.retried, sums.failed_us + sums.retried_us, pace),
    )


def _generated(answers: int, us: int, pace: float) -> int:
    """The most tokens that answers can have got that ran for `us` together."""
    return round(pace * (us / 1e6 + answers * GRACE_S))


def _pace(sums: Sums) -> float:
    """Tokens a second that one answer can have got, at most."""
    if sums.pace_us <= 0 or sums.pace_tokens <= 0:
        return LEAST_PACE
    return max(LEAST_PACE, PACE_MARGIN * sums.pace_tokens / (sums.pace_us / 1e6))


def _length(sums: Sums) -> int:
    """Tokens that a prompt which nobody counted can have had, at most."""
    return LENGTH_MARGIN * sums.longest_prompt or LEAST_LENGTH
