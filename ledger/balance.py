"""Adding up what belongs to a look: entries by what they are, and the requests that still run. Pure.

One pass over the entries, 2 us for each.
"""

from collections.abc import Iterable, Mapping

from ledger.counters import Scrape
from ledger.looks import LINGER_MS, SLACK_MS, Entry, Era, InFlight, Look, Running, Sums


def add_up(
    before: Mapping[str, Look], scrapes: Mapping[str, Scrape], entries: Iterable[Entry], seq: int
) -> Mapping[str, Look]:
    """Go on from earlier looks, by endpoint, to those that belong to `scrapes`.

    `entries`: all up to `seq` that any of the earlier looks has not got.
    """
    pools: dict[str, list[str]] = {}
    for address in scrapes:
        pools.setdefault(before[address].era.pool, []).append(address)
    sums = {address: Sums() for address in scrapes}
    in_flight = {address: InFlight() for address in scrapes}
    for entry in entries:
        here = entry.endpoint
        if here is not None and here in scrapes and entry.seq > before[here].seq:
            _add(sums[here], entry, before[here].era)
            _add_late(in_flight[here], entry, scrapes[here], before[here].era)
        if (entry.attempts or 0) > 1:
            for other in pools.get(entry.pool or "", ()):
                if entry.seq > before[other].seq:
                    _add_retries(sums[other], entry)
                    if _may_linger(entry, scrapes[other]):
                        _add_retries(in_flight[other].recent, entry)
    return {
        address: Look(
            era=before[address].era,
            at_ms=scrape.began_ms,
            counters=scrape.counters,
            seq=max(seq, before[address].seq),
            sums=before[address].sums.add(sums[address]),
            in_flight=in_flight[address],
        )
        for address, scrape in scrapes.items()
    }


def add_running(look: Look, scrape: Scrape, running: Iterable[Running]) -> None:
    """Add the requests that are still open to what was in flight."""
    flight = look.in_flight
    for request in running:
        if request.start_ms > scrape.ended_ms or not request.may_be_on(look.era):
            continue
        flight.requests += 1
        flight.answers += request.n
        flight.us += request.n * max(0, scrape.ended_ms - request.start_ms) * 1000
        if request.prompt_tokens is None:
            flight.blind += request.n
        else:
            flight.prompt_tokens += request.n * request.prompt_tokens


def _add(sums: Sums, entry: Entry, era: Era) -> None:
    prompt, completion = entry.told_prompt_tokens or 0, entry.completion_tokens or 0
    if entry.end_ms <= era.after_ms:
        sums.lost_prompt_tokens += prompt if era.follows else 0
        sums.lost_completion_tokens += completion if era.follows else 0
        if entry.end_ms > era.after_ms - LINGER_MS:
            _add_causes(sums, entry)
        return
    _add_causes(sums, entry)
    if entry.start_ms < era.before_ms:
        sums.edge_prompt_tokens += prompt
        sums.edge_completion_tokens += completion
        return
    sums.requests += entry.requests
    sums.prompt_tokens += prompt
    sums.completion_tokens += completion


def _add_causes(sums: Sums, entry: Entry) -> None:
    """Add what the engine may have done beyond what is booked, and how fast it is."""
    prompt, completion = entry.told_prompt_tokens or 0, entry.completion_tokens or 0
    answers = entry.requests * entry.choices
    if entry.is_aborted:
        sums.aborted += answers
        sums.aborted_us += answers * entry.us
        sums.aborted_tokens += completion
        sums.aborted_more += prompt * (entry.choices - 1)
        sums.aborted_blind += 0 if prompt else answers
        return
    sums.more_choices += prompt * (entry.choices - 1)
    sums.longest_prompt = max(sums.longest_prompt, prompt)
    if entry.is_failed:
        sums.failed += answers
        sums.failed_us += answers * entry.us
    elif completion:
        sums.pace_tokens += entry.requests * (abs(completion) // entry.choices)
        sums.pace_us += entry.requests * entry.generating_us


def _add_retries(sums: Sums, entry: Entry) -> None:
    prompt = entry.told_prompt_tokens or 0
    answers = entry.requests * entry.choices * ((entry.attempts or 1) - 1)
    sums.retried += answers
    sums.retried_us += answers * entry.us
    sums.retried_prompt_tokens += prompt * entry.choices * ((entry.attempts or 1) - 1)
    sums.retried_blind += 0 if prompt else answers


def _add_late(flight: InFlight, entry: Entry, scrape: Scrape, era: Era) -> None:
    """Take note of what had not ended for sure when the counters were read."""
    if _may_linger(entry, scrape):
        _add(flight.recent, entry, era)
    if entry.end_ms <= scrape.began_ms - SLACK_MS or entry.start_ms < era.before_ms:
        return  # over, or at the edge and no part of what is held against the counters
    prompt, completion = entry.told_prompt_tokens or 0, entry.completion_tokens or 0
    if entry.start_ms > scrape.ended_ms + SLACK_MS:
        flight.next_prompt_tokens += prompt
        flight.next_completion_tokens += completion
        return
    flight.requests += entry.requests
    flight.late_prompt_tokens += prompt
    flight.late_completion_tokens += completion


def _may_linger(entry: Entry, scrape: Scrape) -> bool:
    """Whether the engine may still have worked for it when the counters were read."""
    return entry.end_ms > scrape.began_ms - LINGER_MS
