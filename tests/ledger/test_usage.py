import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import subjects
from ledger.database import open_database
from ledger.question import DIMENSIONS, ORDERS, STEPS, Condition, Question, UsageError
from ledger.row import Row
from ledger.sql import open_ledger
from ledger.store import Change
from ledger.trim import trim
from ledger.usage import ask
from tests.ledger import naive
from tests.ledger.books import reading
from tests.ledger.naive import BEGIN, ZONES

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ASKED = (
    "tenant",
    "project",
    "user",
    "group",
    "model",
    "endpoint",
    "status",
    "deny_reason",
    "price",
)
VALUES = {
    "tenant": ("acme", "globex", None),
    "user": ("alice", "bob", "Bob", "nobody", None),
    "group": ("a", "A", "ab", "b", "zz", None),
    "status": ("200", "0", None),
    "model": ("tiny", "none'; DROP TABLE entry"),
    "price": ("3/0.3/15", None),
}


def fill(where, rows, corrections=()):
    """Write `rows`, and then `corrections` of some of them; what is in force then."""
    ledger = open_ledger(where)
    ledger.commit(Change(rows=rows))
    for row in corrections:
        ledger.commit(Change(rows=[row], replaced=ledger.rows([row.settle_key])))
    ledger.close()
    return list({row.settle_key: row for row in [*rows, *corrections]}.values())


class Books:
    """A ledger and what is in force in it."""

    def __init__(self, where, in_force):
        self.database = open_database(where)
        self.in_force = in_force

    def ask(self, question):
        with self.database.transaction() as connection:
            return ask(connection, question)


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def filled(request, tmp_path_factory):
    """A ledger of 400 requests, a quarter of them corrected once or twice, and what is in force."""
    if request.param == "sqlite":
        where = tmp_path_factory.mktemp("usage") / "ledger.sqlite"
    else:
        where = request.getfixturevalue("postgres").new_schema()
    rows = naive.make_rows(400)
    draw = random.Random(8)
    corrections = []
    for row in [*rows[:100], *rows[:30]]:
        other = naive.make_row(row.settle_key, draw)
        corrections.append(msgspec.structs.replace(other, start_ms=row.start_ms))
    books = Books(where, fill(where, rows, corrections))
    yield books
    books.database.close()


@st.composite
def times(draw):
    """Any millisecond, or a quarter of an hour."""
    time = BEGIN - timedelta(hours=3) + draw(st.integers(0, 400_000)) * timedelta(seconds=1)
    if draw(st.booleans()):
        return time + timedelta(milliseconds=draw(st.integers(0, 999)))
    return time.replace(minute=draw(st.sampled_from((0, 15, 45))), second=0, microsecond=0)


@st.composite
def conditions(draw):
    name = draw(st.sampled_from(sorted(VALUES)))
    values = draw(st.lists(st.sampled_from(VALUES[name]), min_size=1, max_size=3, unique=True))
    return Condition(name, tuple(values), draw(st.booleans()))


@st.composite
def questions(draw):
    by = draw(st.lists(st.sampled_from(ASKED), max_size=3, unique=True))
    if draw(st.booleans()):
        by.insert(draw(st.integers(0, len(by))), draw(st.sampled_from(STEPS)))
    since, until = sorted(draw(st.tuples(times(), times())))
    bounded = draw(st.sampled_from(((since, until), (since, None), (None, until), (None, None))))
    if since == until:
        bounded = (since, None)
    return Question(
        by=tuple(by),
        since=bounded[0],
        until=bounded[1],
        where=tuple(draw(st.lists(conditions(), max_size=2))),
        top=draw(st.sampled_from((None, 1, 2, 5))),
        order=draw(st.sampled_from(ORDERS)),
        zone=draw(st.sampled_from(ZONES)),
        fill=draw(st.booleans()),
        compare=None not in bounded and draw(st.booleans()),
    )


def told(figures):
    return msgspec.structs.asdict(figures)


def assert_same(figures, rows):
    """Every sum exactly; times to first token within 5 %."""
    found, expected = told(figures), naive.figures(rows)
    for name in ("ttft_p50_us", "ttft_p95_us"):
        ours, exact = found.pop(name), expected.pop(name)
        assert (
            ours == pytest.approx(exact, rel=0.05, abs=0.5) if exact is not None else ours is None
        )
    assert found == expected


def greatness(order, rows):
    match order:
        case "tokens":
            sums = [(r.prompt_tokens or 0) + (r.completion_tokens or 0) for r in rows]
        case "cost":
            sums = [
                (r.uncached_pusd or 0) + (r.cached_pusd or 0) + (r.completion_pusd or 0)
                for r in rows
            ]
        case _:
            sums = [1 for _ in rows]
    return sum(sums), len(rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(question=questions())
def test_an_answer_is_what_loops_over_the_rows_would_say(filled, question):
    answer, in_force = filled.ask(question), filled.in_force
    counted = [
        row for row in in_force if naive.counts(row, question, question.since, question.until)
    ]
    assert_same(answer.total, counted)
    check_rows(answer, naive.cells(in_force, question, question.since, question.until), in_force)


def check_rows(answer, now, in_force):
    question = answer.question
    steps, before, shift = expected_steps(question, in_force)
    seen = {group for _, group in (*now, *before)}
    shown = {row_group(question, row) for row in answer.rows if not row.other}
    check_top(question, now, shown, seen)
    expected = {}
    for step in steps:
        for group in shown | ({None} if seen - shown and question.top else set()):
            names = (seen - shown) if group is None else {group}
            rows = [row for name in names for row in now.get((step, name), [])]
            earlier = [r for name in names for r in before.get((shift.get(step, ""), name), [])]
            if rows or earlier or (question.fill and question.step):
                expected[step, group] = rows, earlier
    found = {
        (step_of(question, row), None if row.other else row_group(question, row)): row
        for row in answer.rows
    }
    assert len(found) == len(answer.rows)
    assert found.keys() == expected.keys()
    for cell, row in found.items():
        assert_same(row.figures, expected[cell][0])
        assert (row.before is not None) == question.compare
        if question.compare:
            assert_same(row.before, expected[cell][1])
    order = [steps.index(step_of(question, row)) for row in answer.rows]
    assert order == sorted(order)


def expected_steps(question, in_force):
    """Names of all steps; the cells of the period before; and which step was in the same place."""
    times = [naive.time_of(row) for row in in_force]
    since = question.since or min(times)
    until = question.until or max(times) + timedelta(milliseconds=1)
    step, zone = question.step, question.zone
    steps = naive.labels(step, since, until, zone) if step else [None]
    if not question.compare:
        return steps, {}, {}
    before = naive.cells(in_force, question, since - (until - since), since)
    earlier = naive.labels(step, since - (until - since), since, zone) if step else [None]
    return steps, before, dict(zip(steps, earlier, strict=False))


def check_top(question, now, shown, seen):
    """Nobody who is among the others is greater than anybody who is not."""
    by_group = {}
    for (_, group), rows in now.items():
        by_group.setdefault(group, []).extend(rows)
    if question.top and shown:
        assert len(shown) <= question.top
        least = min(greatness(question.order, by_group.get(group, [])) for group in shown)
        for group in seen - shown:
            assert greatness(question.order, by_group.get(group, [])) <= least


def row_group(question, row):
    return tuple(v for name, v in zip(question.by, row.group, strict=True) if name not in STEPS)


def step_of(question, row):
    return row.group[question.by.index(question.step)] if question.step else None


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), by=st.sampled_from([(), ("user",), ("day", "group")]))
def test_any_entries_and_any_corrections(seed, by, tmp_path_factory):
    draw = random.Random(seed)
    rows = [naive.make_row(f"s{n}", draw) for n in range(draw.randrange(20))]
    corrections = [naive.make_row(row.settle_key, draw) for row in rows if draw.random() < 0.5]
    where = tmp_path_factory.mktemp("usage") / "ledger.sqlite"
    in_force = fill(where, rows, corrections)
    question = Question(by=by, zone=draw.choice(ZONES))
    with reading(where) as connection:
        answer = ask(connection, question)
    assert_same(answer.total, in_force)
    if in_force:
        check_rows(answer, naive.cells(in_force, question, None, None), in_force)
    else:
        assert answer.rows == []


@pytest.fixture
def store(where):
    """Write rows into a ledger, and ask it."""

    def write(*rows):
        fill(where, [Row(**{"settle_key": f"s{n}", **row}) for n, row in enumerate(rows)])

        def answer(question):
            with reading(where) as connection:
                return ask(connection, question)

        return answer

    return write


def request(tenant="acme", model="tiny", minutes=5, **members):
    start = NOON - timedelta(minutes=minutes)
    tokens = {"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 4}
    row = {"tenant": tenant, "model": model, "start_ms": naive.ms(start), "status": 200}
    return {**row, **tokens, **members}


def test_greatest_first_and_the_others_together(store):
    answer = store(
        request(),
        request("globex", prompt_tokens=1000),
        request("initech", prompt_tokens=100),
        request(None, None, prompt_tokens=0, completion_tokens=0, cached_tokens=None, status=503),
    )
    found = answer(Question(top=1))
    assert [(row.group, row.other) for row in found.rows] == [
        (("globex", "tiny"), False),
        ((None, None), True),
    ]
    assert found.rows[1].figures.requests == 3
    found = answer(Question(by=("tenant",)))
    assert [row.group[0] for row in found.rows] == ["globex", "initech", "acme", None]


def test_money_of_any_size(store):
    most = 2**63 - 1
    dear = {"uncached_pusd": most, "cached_pusd": 0, "completion_pusd": most - 1, "own_pusd": most}
    found = store(*(request(minutes=15 * n, **dear) for n in range(1, 41)))(Question(by=("hour",)))
    assert found.total.cost_pusd == 40 * (2 * most - 1)
    assert found.total.own_pusd == 40 * most


def test_a_request_that_was_moved_leaves_nothing_behind(where):
    moved = [Row(settle_key="s", start_ms=0, tenant=tenant, model="m") for tenant in ("a", "b")]
    fill(where, moved[:1], moved[1:])
    with reading(where) as connection:
        assert [row.group for row in ask(connection, Question()).rows] == [("b", "m")]


def test_who_was_erased_is_a_pseudonym(where):
    fill(where, [Row(**{"settle_key": "s", **request(user="alice")})])
    database = open_database(where, writes=True)
    with database.transaction() as connection:
        (named,) = ask(connection, Question(by=("user",))).rows
        subjects.erase(connection, "acme", "alice")
        (erased,) = ask(connection, Question(by=("user",))).rows
        (found,) = ask(connection, Question(where=(Condition("user", erased.group),))).rows
    database.close()
    assert named.group == ("alice",)
    assert erased.group not in (("alice",), (None,))
    assert named.figures == erased.figures == found.figures


def test_where_entries_are_gone_whole_quarters_are_told(where):
    ledger = open_ledger(where)
    rows = [Row(**{"settle_key": f"s{m}", **request(minutes=m)}) for m in (20, 10, 5)]
    ledger.commit(Change(rows=rows))
    ledger.close()
    database = open_database(where, writes=True)
    with database.transaction() as connection:
        trim(connection, {"acme": 2})
    question = Question(since=NOON - timedelta(minutes=12), until=NOON)
    with database.transaction() as connection:
        answer = ask(connection, question)
    database.close()
    assert answer.since == NOON - timedelta(minutes=15)
    assert answer.total.requests == 2


def test_groups_of_users_are_places_too(store):
    """5 000 users of 100 groups each were half a million: 33 s, and 0.8 GB."""
    answer = store(request(groups="a,b,c"), request("globex", groups="c,d"))
    assert len(answer(Question(by=("group",), most=4)).rows) == 4
    with pytest.raises(UsageError, match="too many groups"):
        answer(Question(by=("group",), most=3))


def test_an_empty_ledger(store):
    answer = store()
    for by in ((), ("tenant",), ("month",)):
        assert answer(Question(by=by)).rows == []


def test_too_many_holes_to_fill(store):
    answer = store(*(request(f"t{n}") for n in range(30)))
    with pytest.raises(UsageError, match="top 10"):
        answer(
            Question(by=("hour", "tenant"), since=NOON - timedelta(days=300), until=NOON, fill=True)
        )


def test_every_dimension_groups(store):
    everything = {"project": "p", "user": "u", "groups": "g", "region": "r", "key_id": "k"}
    everything |= {"track": "t", "version": "v", "pool": "l", "cluster": "c", "gpu": "x"}
    everything |= {"endpoint": "e", "operation": "chat", "deny_reason": "d", "policy": "h"}
    answer = store(request(**everything, price="1/1/1"))
    (row,) = answer(Question(by=DIMENSIONS)).rows
    assert None not in row.group
    for name, value in zip(DIMENSIONS, row.group, strict=True):
        assert answer(Question(by=(name,))).rows[0].group == (value,)
        assert answer(Question(by=(), where=(Condition(name, (value,)),))).total.requests == 1
        assert answer(Question(by=(), where=(Condition(name, (None,)),))).total.requests == 0
