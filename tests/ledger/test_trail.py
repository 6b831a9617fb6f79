import msgspec

from ledger.counters import Counters
from ledger.looks import Era, InFlight, Look, Sums
from ledger.trail import DAY_MS, MAX_ENTRIES, WINDOW_MS, Trail, resume, spans

ERA = Era("a", "p", 0, 0, Counters(), 0)
MINUTE = 60_000


def look(minute, seq=0, era=ERA):
    return Look(era, minute * MINUTE, Counters(), seq, Sums(), InFlight())


def trail_of(minutes, **members):
    trail = Trail(Look.first(ERA))
    for minute in minutes:
        trail.add(look(minute, **members))
    return trail


def test_it_starts_from_what_is_in_the_window():
    trail = trail_of(range(1, 61))
    assert trail.start(60 * MINUTE, 0).at_ms == 60 * MINUTE - WINDOW_MS
    assert trail.last.at_ms == 60 * MINUTE


def test_a_busy_ledger_is_added_up_over_a_shorter_window():
    trail = Trail(Look.first(ERA))
    for minute in range(1, 10):
        trail.add(look(minute, seq=minute * MAX_ENTRIES // 4))
    assert trail.start(9 * MINUTE, 9 * MAX_ENTRIES // 4).at_ms == 5 * MINUTE


def test_it_never_starts_from_the_last_look_unless_that_is_all():
    assert trail_of([1, 2]).start(10**9, 10**9).at_ms == MINUTE
    assert resume([look(1)]).start(10**9, 10**9).at_ms == MINUTE


def test_the_reference_is_a_day_ago():
    trail = trail_of(range(0, 3 * 24 * 60, 15))
    now = (3 * 24 * 60 - 15) * MINUTE
    reference = trail.reference(now)
    assert now - DAY_MS - 60 * MINUTE < reference.at_ms <= now - DAY_MS


def test_the_reference_of_a_young_era_is_its_beginning():
    trail = trail_of(range(1, 60))
    assert trail.reference(60 * MINUTE) == Look.first(ERA)


def test_resuming_within_an_era():
    trail = resume([look(10), look(25), look(40)])
    assert trail.start(41 * MINUTE, 0) == look(40), "what was booked before it is not known"
    assert trail.last == look(40)
    assert trail.reference(41 * MINUTE) == look(10)


def test_resuming_after_a_new_era():
    new = msgspec.structs.replace(ERA, before_ms=12 * MINUTE)
    trail = resume([look(10), look(25, era=new)])
    assert trail.reference(41 * MINUTE) == Look.first(new)
    assert trail.last == look(25, era=new)


def test_spans_are_by_era():
    new = msgspec.structs.replace(ERA, before_ms=12 * MINUTE)
    later = look(30, era=new)
    assert spans([look(1), look(5), later], 1) == [(look(1), look(5)), (Look.first(new), later)]
    assert spans([look(1)], 1) == [(look(1), look(1))]
    assert spans([], 1) == []
