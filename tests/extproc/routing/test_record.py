"""Decision records: everything that was known, and nothing that must not be."""

from math import inf

import msgspec

from engines.load import Load
from engines.rates import Rates
from extproc.routing.candidate import Asked, Candidate, Choice, Terms
from extproc.routing.record import MOST_CANDIDATES, About, DecisionRecord, LeftOut, Seen, describe

ABOUT = About("r1", 5.0, "asked", "v1", "acme", "chat", "m", "stable", "p", "predicted_ttft", 7, 90)
ASKED = Asked("k1", 900, (1, 2, 3), 64, 100, "lora", "acme/ann")
CHOICE = Choice(("a:1", "b:1"), "predicted", 128, 0.25)


def seen(candidates, terms=None, conditions=None, matched=None):
    said = terms or [Terms(each.endpoint, 1.0, {"queue_s": 1.0}) for each in candidates]
    return Seen(candidates, said, matched or {}, conditions or {}, 100.0)


def test_all_that_was_known():
    busy = Candidate(
        "a:1", Load(running=3, waiting=2, kv_usage=0.123456), 99.75, Rates(8000.0, 0.02),
        in_flight=4, in_flight_tokens=50, unseen=1, unseen_tokens=20, warmth=0.5,
    )  # fmt: skip
    fresh = Candidate("b:1")
    terms = [Terms("a:1", 0.25, {"queue_s": 0.25}), Terms("b:1", 0.5, {"queue_s": 0.5})]
    conditions = {
        "a:1": ("half_open", ["errors:m"]),
        "b:1": ("ready", ()),
        "c:1": ("open", ["slow"]),
    }
    record = describe(ABOUT, ASKED, CHOICE, seen([fresh, busy], terms, conditions, {"a:1": 2}))
    first, second = record.candidates
    assert (first.endpoint, first.cost, first.terms) == ("a:1", 0.25, {"queue_s": 0.25})
    assert (first.running, first.waiting, first.kv_usage) == (3, 2, 0.1235)
    assert (first.in_flight, first.in_flight_tokens, first.unseen, first.unseen_tokens) == (
        4, 50, 1, 20,
    )  # fmt: skip
    assert (first.look_age_s, first.prefill_tokens_per_s, first.itl_s) == (0.25, 8000.0, 0.02)
    assert (first.warmth, first.matched_blocks) == (0.5, 2)
    assert (first.condition, first.reasons) == ("half_open", ("errors:m",))
    assert (second.look_age_s, second.condition, fresh.seen_s) == (None, "", -inf)
    assert record.left_out == (LeftOut("c:1", "open", ("slow",)),)
    assert (record.id, record.request_id, record.picker) == ("k1", "r1", "predicted_ttft")
    assert (record.chosen, record.rung, record.predicted_s) == (("a:1", "b:1"), "predicted", 0.25)
    assert (record.prompt_tokens, record.cached_tokens, record.completion_tokens) == (900, 128, 100)
    assert (record.blocks, record.block_tokens, record.adapter) == (3, 64, "lora")
    assert (record.queued_ms, record.pick_us, record.candidates_count) == (7, 90, 2)


def test_who_wants_to_come_back_is_not_named():
    record = describe(ABOUT, ASKED, CHOICE, seen([Candidate("a:1")]))
    assert record.has_session
    assert b"ann" not in msgspec.json.encode(record)


def test_it_reads_what_it_writes():
    record = describe(ABOUT, ASKED, CHOICE, seen([Candidate("a:1"), Candidate("b:1")]))
    assert msgspec.json.decode(msgspec.json.encode(record), type=DecisionRecord) == record


def test_later_changes_of_candidates_do_not_show():
    one = Candidate("a:1")
    record = describe(ABOUT, ASKED, CHOICE, seen([one]))
    one.in_flight = 9
    assert record.candidates[0].in_flight == 0


def test_of_many_the_best_are_kept():
    many = [Candidate(f"10.0.0.{n}:1") for n in range(200)]
    terms = [Terms(each.endpoint, float(n), {}) for n, each in enumerate(reversed(many))]
    record = describe(ABOUT, ASKED, CHOICE, seen(many, terms))
    assert len(record.candidates) == MOST_CANDIDATES
    assert record.candidates[0].endpoint == many[-1].endpoint
    assert record.candidates_count == 200
