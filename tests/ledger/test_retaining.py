"""Logs, entries and names go when their time has come; the ledger stays provable, and its sums."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from ledger.config import Config, Retention
from ledger.database import open_database
from ledger.retaining import Outcome, Retaining
from ledger.retention import Cutoffs
from ledger.rollup import add_up
from ledger.store import Change
from ledger.tables import ROOT, SUBJECT
from telemetry.metrics import SettleMetrics
from tests.ledger import books
from tests.ledger.archive import DAY_MS, Archive
from tests.ledger.lines import end


@pytest.fixture
def archive(where, tmp_path):
    archive = Archive(where, tmp_path)
    yield archive
    archive.close()


def names(archive):
    return {name for (name,) in books.query(archive.where, select(SUBJECT.c.name))}


def fill(archive, days, first=0):
    for day in range(first, first + days):
        archive.book(f"a{day}", f"b{day}", user=f"u{day}", days=1)
        archive.book(f"c{day}", tenant="globex", user="steady")
        archive.sign()


def test_what_is_old_goes_and_the_rest_is_proved(archive):
    fill(archive, 6)
    before = books.usage(archive.where)
    todo, waits_for = archive.retainer().plan(Cutoffs(archive.now_ms - 2 * DAY_MS))
    looked_at = archive.retainer().look(todo)
    done = archive.retainer().run(Cutoffs(archive.now_ms - 2 * DAY_MS))
    assert (done.deleted, waits_for) == (looked_at, None)
    assert {chain: each.entries for chain, each in done.deleted.items()} == {"acme": 6, "globex": 3}
    assert (done.entries, done.people, done.logs) == (9, 3, [])
    assert archive.seqs() == list(range(10, 19))
    assert names(archive) == {"u3", "u4", "u5", "steady"}
    verdict = archive.verdict()
    assert (verdict.faults, verdict.trimmed, verdict.unsigned) == ((), 9, 0)
    assert books.usage(archive.where) == before


def test_who_comes_back_has_another_pseudonym(archive):
    fill(archive, 3)
    ((before,),) = books.query(
        archive.where, select(SUBJECT.c.pseudonym).where(SUBJECT.c.name == "u0")
    )
    archive.retainer().run(Cutoffs(archive.now_ms))
    archive.book("s1", user="u0")
    ((after,),) = books.query(
        archive.where, select(SUBJECT.c.pseudonym).where(SUBJECT.c.name == "u0")
    )
    assert before != after
    assert archive.faults() == []


def test_it_goes_a_part_at_a_time(archive):
    fill(archive, 8)
    assert archive.retainer(least_width=5).run(Cutoffs(archive.now_ms)).entries == 21
    assert archive.faults() == []
    roots = books.query(archive.where, select(ROOT.c.id))
    assert len(roots) == 8 + 5


def test_two_at_once_delete_nothing_twice(archive):
    fill(archive, 6)
    limits = Cutoffs(archive.now_ms)
    with closing(Other(archive)) as other, ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(retainer.run, limits) for retainer in (archive.retainer(), other.retainer)
        ]
        assert sum(each.result().entries for each in both) == 15
    assert archive.faults() == []


class Other:
    """Somebody who deletes by hand while the settle process does it by itself."""

    def __init__(self, archive):
        self.reader = open_database(archive.where)
        self.writer = open_database(archive.where, writes=True)
        self.retainer = archive.retainer(reader=self.reader, writer=self.writer, least_width=2)

    def close(self):
        self.reader.close()
        self.writer.close()


def write_log(archive, name, keys, *, age_s=7200):
    path = archive.state / "log" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(end(key, start_ms=archive.now_ms) + b"\n" for key in keys))
    os.utime(path, (archive.now_ms / 1000, archive.now_ms / 1000 - age_s))
    return path


def test_a_log_that_is_not_settled_keeps_its_entries(archive):
    fill(archive, 2)
    log = write_log(archive, "access.jsonl.1", ["late"])
    fill(archive, 4, first=2)
    done = archive.retainer().run(Cutoffs(archive.now_ms))
    assert (done.waits_for, done.logs, done.entries) == (log, [], 3)
    log.unlink()
    done = archive.retainer().run(Cutoffs(archive.now_ms))
    assert (done.waits_for, done.entries) == (None, 12)


class Duty:
    def __init__(self, archive, retention):
        self.registry = CollectorRegistry()
        config = Config(retention=retention)
        self.duty = Retaining(archive.retainer(), lambda: config, SettleMetrics(self.registry))

    def run(self):
        self.duty.run()
        return self.registry.get_sample_value("headgate_ledger_trimmed_entries_total")


@pytest.mark.parametrize("retention", [Retention(), Retention(1, by_hand=True), Retention(60)])
def test_the_duty_leaves_alone_what_policy_does_not_name(archive, retention):
    fill(archive, 4)
    assert Duty(archive, retention).run() == 0
    assert len(archive.seqs()) == 12


def test_the_duty_does_as_policy_says(archive, caplog):
    caplog.set_level("INFO")
    fill(archive, 4)
    assert Duty(archive, Retention(1)).run() == 6
    assert len(archive.seqs()) == 6
    assert [r.entries for r in caplog.records if r.getMessage() == "retention"] == [6]
    assert archive.faults() == []


def test_the_duty_is_done_once_a_day_and_comes_again_while_it_waits(archive):
    fill(archive, 4)
    log = write_log(archive, "access.jsonl.1", ["late"])
    fill(archive, 3, first=4)
    duty = Duty(archive, Retention(1))
    assert duty.run() == 9  # what was booked before the log began
    log.unlink()
    assert duty.run() == 15
    archive.now_ms += 3 * DAY_MS // 4
    assert duty.run() == 15
    archive.now_ms += DAY_MS // 4
    assert duty.run() == 18


def test_nothing_is_an_outcome_too():
    assert Outcome().entries == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["book", "book", "correct", "sign", "trim"]),
        st.integers(0, 7),
        st.sampled_from(["acme", "globex", None]),
        st.sampled_from(["eu", "us", None]),
    ),
    min_size=10,
    max_size=40,
)


class Story:
    """Books, corrects, signs and deletes at random, and remembers every entry there ever was."""

    def __init__(self, archive):
        self.archive = archive
        self.ever = {}
        self.booked = {}

    def go(self, step, number, tenant, region):
        archive, keys = self.archive, list(self.booked)
        match step:
            case "book":
                key = f"s{len(keys)}"
                archive.book(key, days=number % 2, tenant=tenant, region=region, user=f"u{number}")
                self.booked |= archive.ledger.rows([key])
            case "correct" if keys:
                self.correct(keys[-1 - number % len(keys)], tenant, f"m{number}")
            case "sign":
                archive.sign()
            case "trim":
                limits = Cutoffs(archive.now_ms - number * DAY_MS, {"eu": archive.now_ms - DAY_MS})
                archive.retainer().run(limits)
        self.ever |= {entry[0]: entry for entry in books.entries(archive.where)}

    def correct(self, key, tenant, model):
        """Also what has been deleted since the settle process asked for it."""
        row = books.at(self.archive.now_ms, books.row(key, tenant=tenant, model=model))
        replaced = {key: self.booked[key]}
        change = Change(rows=[row], replaced=replaced, booked_ms=self.archive.now_ms)
        self.archive.ledger.commit(change)
        self.booked |= self.archive.ledger.rows([key])


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_whatever_is_booked_corrected_and_deleted_sums_stay_and_are_proved(steps, tmp_path_factory):
    state = tmp_path_factory.mktemp("story")
    with closing(Archive(state / "ledger.sqlite", state)) as archive:
        story = Story(archive)
        for step in steps:
            story.go(*step)
        assert archive.faults() == []
        tallies = add_up(story.ever.values())
        found = {key: sums for key, (sums, _) in books.usage(archive.where).items()}
        assert found == {key: tally.sums for key, tally in tallies.items()}
