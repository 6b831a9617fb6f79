"""What there is to compare: looks at an engine's counters, and sums of what the ledger has booked. Pure.

An *era* is one run of an engine's counters. It begins when an endpoint is seen for the first time, or
when its counters begin anew. Within an era, a *look* is a scrape together with the sums of all entries
up to some `seq`, so that entries are taken by their number, each once, however late they were booked.

An entry that was under way when the era began belongs to it in part, nobody knows how much: it goes to
the `edge`. One that had ended by then, but was booked afterwards, belongs to what nobody can compare
any more: it is `lost`.
"""

from typing import NamedTuple

import msgspec

from ledger.counters import Counters, Scrape

SLACK_MS = 1000
"""How exactly "ended before the scrape" is meant: Envoy, the engine and we each have a clock, and an
engine may add to its counters a moment after it has sent the last token."""

LINGER_MS = 3000
"""How long an engine may go on with an answer after the gateway has given it up, and we may be wrong
about when that was."""


class Entry(NamedTuple):
    """What matters here of an entry: columns of `tables.ENTRY`, by their names."""

    seq: int
    requests: int
    booked_ms: int
    start_ms: int
    pool: str | None
    endpoint: str | None
    n: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    status: int | None
    ttft_us: int | None
    latency_us: int | None
    attempts: int | None
    unsettled: int
    estimated: int
    cut: int

    @property
    def us(self) -> int:
        """How long it took; for one whose end nobody saw, until it was given up."""
        if self.latency_us is None:
            return max(0, self.booked_ms - self.start_ms) * 1000
        return self.latency_us

    @property
    def generating_us(self) -> int:
        """How long its tokens took. The first byte of an answer that is no stream is also nearly its
        last, and tells nothing."""
        ttft_us = self.ttft_us or 0
        return max(1000, self.us - ttft_us if ttft_us * 2 < self.us else self.us)

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.us // 1000

    @property
    def choices(self) -> int:
        return self.n or 1

    @property
    def told_prompt_tokens(self) -> int | None:
        """The prompt by an engine's word. A count of our own says nothing of what an engine did."""
        return None if self.estimated else self.prompt_tokens

    @property
    def is_aborted(self) -> bool:
        """The engine may have done more than it could say."""
        return bool(self.cut or self.estimated or self.unsettled) or self.status == 0

    @property
    def is_failed(self) -> bool:
        """No attempt was answered; the last one may have cost something too."""
        return (self.status or 0) >= 500 and not self.is_aborted


class Sums(msgspec.Struct):
    """Sums over entries of one endpoint in one era. Reversals subtract. All but the last add up."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    more_choices: int = 0
    """Prompt tokens of whole answers, times n - 1."""
    edge_prompt_tokens: int = 0
    edge_completion_tokens: int = 0
    lost_prompt_tokens: int = 0
    lost_completion_tokens: int = 0
    aborted: int = 0
    """Answers that were broken off: n of each request. `aborted_us`: how long they ran."""
    aborted_us: int = 0
    aborted_tokens: int = 0
    """What was seen of their completions."""
    aborted_more: int = 0
    """Their prompts, times n - 1."""
    aborted_blind: int = 0
    """Those of them whose prompt nobody counted."""
    failed: int = 0
    """Answers of requests that no attempt answered, for the last attempt."""
    failed_us: int = 0
    retried: int = 0
    """Answers of attempts before the last one, on any endpoint of the pool: the ledger does not know on
    which."""
    retried_us: int = 0
    retried_prompt_tokens: int = 0
    retried_blind: int = 0
    pace_tokens: int = 0
    """Completion tokens of whole answers, for one choice, and how long they took."""
    pace_us: int = 0
    longest_prompt: int = 0
    """Prompt tokens of the longest whole prompt: the most that a prompt nobody counted may have had."""

    def add(self, other: "Sums", sign: int = 1) -> "Sums":
        """Add (or subtract) and return the result."""
        total = Sums()
        for name in _ADDED:
            setattr(total, name, getattr(self, name) + sign * getattr(other, name))
        total.longest_prompt = max(self.longest_prompt, other.longest_prompt)
        return total


_ADDED = Sums.__struct_fields__[:-1]


class Era(msgspec.Struct, frozen=True):
    """One run of an engine's counters."""

    endpoint: str
    pool: str
    after_ms: int
    """What ended before this is none of its business."""
    before_ms: int
    """What started after this is all its business. Between both the era began."""
    base: Counters
    """What the counters were then."""
    seq: int
    """The last entry that does not matter to it."""
    follows: bool = False
    """Whether there was one before it, so that what is `lost` was worth something."""


class InFlight(msgspec.Struct):
    """What was under way when the counters were read."""

    recent: Sums = msgspec.field(default_factory=Sums)
    """Of all entries that an engine may still have worked for: what they explain may come later."""
    requests: int = 0
    late_prompt_tokens: int = 0
    """Of entries that may not have ended by then: a part of this was counted."""
    late_completion_tokens: int = 0
    next_prompt_tokens: int = 0
    """Of entries that had not begun: nothing of this was counted."""
    next_completion_tokens: int = 0
    prompt_tokens: int = 0
    """Of requests that still run, as far as the engine has told, once for each answer."""
    blind: int = 0
    """Their answers whose prompts it has not told yet."""
    answers: int = 0
    """All their answers, and for how long they have been running together."""
    us: int = 0


class Look(msgspec.Struct, frozen=True):
    """Counters and ledger side by side."""

    era: Era
    at_ms: int
    counters: Counters
    seq: int
    """Entries up to this are in `sums`, those that had not ended at the look included."""
    sums: Sums
    in_flight: InFlight

    @classmethod
    def first(cls, era: Era) -> "Look":
        """The look with which an era begins: nothing has happened in it."""
        return cls(era, era.before_ms, era.base, era.seq, Sums(), InFlight())


class Running(NamedTuple):
    """An open request."""

    start_ms: int
    pool: str | None
    endpoint: str | None
    """None as long as only a worker has told of it: it may be on any endpoint of its pool."""
    n: int
    prompt_tokens: int | None
    attempts: int

    def may_be_on(self, era: "Era") -> bool:
        """Whether that engine may have counted something for it."""
        moved = self.endpoint is None or self.attempts > 1
        return self.endpoint == era.endpoint or (moved and self.pool == era.pool)


def begin_era(
    endpoint: str, pool: str, scrape: Scrape, before: Look | None, seq: int
) -> Era | None:
    """Tell whether these counters begin a new era, and which; None when they continue `before`.

    `seq`: the last entry booked `LINGER_MS` before they were read. (What was booked later may have
    ended later, or be one that the engine was still busy with.)
    """
    now = scrape.counters
    if before is None:
        began = scrape.began_ms - SLACK_MS
        return Era(endpoint, pool, began, scrape.ended_ms + SLACK_MS, now, seq)
    last = before.counters
    smaller = (
        now.prompt_tokens < last.prompt_tokens or now.completion_tokens < last.completion_tokens
    )
    both_say = now.started_s is not None and last.started_s is not None
    restarted = both_say and abs((now.started_s or 0) - (last.started_s or 0)) > 1.0
    if not smaller and not restarted:
        return None
    after_ms, before_ms = before.at_ms, scrape.began_ms
    if now.started_s is not None and after_ms < now.started_s * 1000 <= before_ms + SLACK_MS:
        after_ms = max(after_ms, round(now.started_s * 1000) - SLACK_MS)
        before_ms = round(now.started_s * 1000) + SLACK_MS
    base = Counters(started_s=now.started_s)
    return Era(endpoint, pool, after_ms, before_ms, base, before.seq, follows=True)
