import pytest

from audit.trim import AT_ONCE, Trimmer, Trimming, cutoff_ms
from audit.verify import verify
from tests.audit.stores import (
    DAY_MS,
    START_MS,
    auditing,
    entries,
    fill,
    reading,
    roots_of,
    unguarded,
    verifier_of,
)

MIDNIGHT_MS = START_MS - START_MS % DAY_MS


def verdict_of(where, state):
    with reading(where) as database:
        return verify(database, verifier_of(state), roots_of(state))


def test_what_may_go_changes_once_a_day():
    assert cutoff_ms(2, START_MS) == cutoff_ms(2, MIDNIGHT_MS) == MIDNIGHT_MS - 2 * DAY_MS


def test_what_is_left_is_proved(where, tmp_path):
    fill(where, tmp_path)
    with auditing(where, tmp_path) as audit:
        trimmer = Trimmer(audit.database, audit.signer, audit.clock)
        before_ms = MIDNIGHT_MS + 2 * DAY_MS
        assert trimmer.plan(before_ms) == (12, 12)
        assert trimmer.trim(before_ms) == 12
        assert trimmer.trim(before_ms) == 0
        audit.write(40)
        verdict = verdict_of(where, tmp_path)
        assert (verdict.records, verdict.trimmed, verdict.faults) == (22, 12, ())
        assert trimmer.trim(before_ms + DAY_MS, last_seq=15) == 3
        assert trimmer.trim(before_ms + DAY_MS, last_seq=3) == 0
    assert entries(where)[0]["seq"] == 16
    assert verdict_of(where, tmp_path).faults == ()


def test_nothing_goes_that_is_not_signed(where, tmp_path):
    fill(where, tmp_path)
    with auditing(where, tmp_path) as audit:
        trimmer = Trimmer(audit.database, audit.signer, audit.clock)
        assert trimmer.plan(START_MS + 100 * DAY_MS) == (30, 30)


def test_all_may_go_and_new_ones_come(where, tmp_path):
    with auditing(where, tmp_path) as audit:
        audit.write(1, 2)
        audit.rooting.run()
        assert Trimmer(audit.database, audit.signer).trim(START_MS + DAY_MS) == 2
        assert verdict_of(where, tmp_path).trimmed == 2
        audit.write(3)
    assert [entry["seq"] for entry in entries(where)] == [3]
    assert verdict_of(where, tmp_path).faults == ()


def test_many_go_in_several_steps(tmp_path):
    where = tmp_path / "audit.sqlite"
    with auditing(where, tmp_path) as audit:
        audit.write(*range(AT_ONCE + 10))
        audit.rooting.run()
        assert Trimmer(audit.database, audit.signer).trim(START_MS + DAY_MS) == AT_ONCE + 10
    verdict = verdict_of(where, tmp_path)
    assert (verdict.records, verdict.roots, verdict.faults) == (0, 3, ())


def test_a_deletion_that_nobody_signed_is_found(tmp_path):
    where = tmp_path / "audit.sqlite"
    fill(where, tmp_path)
    db = unguarded(where)
    db.executescript(
        "UPDATE audit_chain SET (begin, begin_hash, begin_ms) ="
        " (SELECT seq, hash, collected_ms FROM audit_entry WHERE seq = 6);"
        "DELETE FROM audit_entry WHERE seq <= 6"
    )
    db.close()
    faults = verdict_of(where, tmp_path).faults
    assert [fault.what for fault in faults] == ["records were deleted, and no root says so"]


@pytest.mark.parametrize(("days", "left"), [(None, 33), (400, 33), (3, 27), (0, 3)])
def test_the_duty_goes_by_the_policy(tmp_path, days, left):
    where = tmp_path / "audit.sqlite"
    fill(where, tmp_path)
    with auditing(where, tmp_path) as audit:
        audit.now_s = (START_MS + 4 * DAY_MS) / 1000 if days else (START_MS + 5 * DAY_MS) / 1000
        Trimming(Trimmer(audit.database, audit.signer, audit.clock), lambda: days).run()
    assert len(entries(where)) == left
