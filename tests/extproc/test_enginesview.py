"""What a worker knows of engines: told by hand, and over a real hub."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from engines.load import Load
from engines.rates import Rates
from engines.watch.flights import LEASE_S
from engines.watch.hub import NAME, Hub
from engines.watch.messages import (
    Ended,
    Look,
    Looks,
    Member,
    Members,
    Picked,
    Running,
    Stored,
    Used,
)
from extproc.enginesview import STALE_S, EnginesView
from extproc.routing.health import Watchdog
from extproc.routing.pools import LEAVE_S
from extproc.routing.suspects import SUSPECT_S
from tests.engines.watch.waiting import GUARD_S, until

A, B, C = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"


class Healthy(dict):
    """How many endpoints may be picked, by pool."""

    def set(self, value, *values):
        self[values[0]] = value

    def forget(self, *values):
        del self[values[0]]


class World:
    """A view of pool `p` (A, B) and of `found`, whose endpoints others name; and its clock."""

    def __init__(self, **options):
        self.now_s, self.healthy, self.stale = 100.0, Healthy(), []
        self.view = EnginesView(
            Watchdog(), self.healthy, self.stale.append, lambda: self.now_s, **options
        )
        self.track()

    def track(self, *endpoints, **more):
        named = [Member(each) for each in endpoints or (A, B)]
        self.view.track({"p": (named, False), "found": ((), True), **more})

    def pick(self, key, endpoint=A, at_s=None, **more):
        at_s = self.now_s if at_s is None else at_s
        return Picked(key, "p", endpoint, at_s, more.pop("prompt_tokens", 100), 40, **more)

    def end(self, key, endpoint=A, **more):
        return Ended(key, "p", endpoint, self.now_s, 200, 0.5, **more)

    def look(self, endpoint, fault="", **more):
        look = Look(endpoint, more.pop("at_s", self.now_s), fault, **more)
        self.view.hear(Looks((look,)))

    def named(self, pool="p"):
        return [each.endpoint for each in self.view.candidates(pool)]

    def candidate(self, endpoint=A, pool="p"):
        return next(each for each in self.view.candidates(pool) if each.endpoint == endpoint)

    def flights(self, endpoint=A):
        c = self.candidate(endpoint)
        return c.in_flight, c.in_flight_tokens, c.unseen, c.unseen_tokens


@pytest.fixture
def world():
    return World()


def test_without_anybody_who_looks_all_that_the_policy_names_may_be_picked(world):
    assert world.named() == [A, B]
    assert (world.named("found"), world.named("nowhere")) == ([], [])
    assert world.candidate().load == Load()
    assert world.candidate().seen_s < 0
    assert world.healthy == {"p": 2, "found": 0}
    world.now_s += 100.0
    world.view.tick()
    assert world.stale == [], "where nobody ever looked, nobody is missed"


def test_of_a_pool_that_is_gone_nothing_is_told(world):
    world.view.track({"q": ([Member(C)], False)})
    assert world.healthy == {"q": 1}


def test_candidates_change_in_place(world):
    candidate = world.candidate()
    world.look(A, load=Load(running=3, blocks=500), rates=Rates(2000.0))
    assert world.candidate() is candidate
    assert (candidate.load.running, candidate.rates.prefill_tokens_per_s) == (3, 2000.0)
    assert candidate.seen_s == world.now_s
    world.view.picked(world.pick("k"))
    assert candidate.in_flight == 1
    world.track()
    assert world.candidate() is candidate, "a reload keeps what is known"


def test_picks_of_all_workers_count_until_they_end(world):
    world.view.picked(world.pick("mine"))
    world.view.hear(world.pick("theirs"))
    world.view.hear(world.pick("theirs"))
    assert world.flights() == (2, 120, 2, 120)
    world.view.hear(world.end("mine"))
    world.view.ended(world.end("theirs", endpoint=B))
    assert world.flights() == (0, 0, 0, 0)


def test_ends_that_any_worker_is_told_of_are_told(world):
    heard = []
    world.view.tell_ends(heard.append)
    ends = [world.end("mine"), world.end("theirs")]
    world.view.ended(ends[0])
    world.view.hear(ends[1])
    assert heard == ends


def test_a_look_shows_what_was_picked_before_it(world):
    world.view.picked(world.pick("a", at_s=101.0))
    world.view.picked(world.pick("b", at_s=103.0))
    world.look(A, at_s=102.0, load=Load(running=1))
    assert world.flights() == (2, 120, 1, 60)
    world.look(A, "timeout", at_s=104.0)
    assert world.flights() == (2, 120, 1, 60), "it showed nothing"
    world.look(A, at_s=105.0)
    assert world.flights() == (2, 120, 0, 0)


def test_what_is_not_mentioned_is_forgotten_and_what_is_stays(world):
    world.view.picked(world.pick("a"))
    world.view.hear(world.pick("b"))
    world.view.hear(world.pick("c"))
    world.now_s += LEASE_S - 1
    world.view.running("a")
    world.view.hear(Running("b"))
    world.now_s += 1
    world.view.tick()
    assert world.flights()[0] == 2
    world.now_s += LEASE_S
    world.view.tick()
    assert world.flights() == (0, 0, 0, 0)


def test_an_endpoint_in_two_pools_is_one_engine(world):
    world.track(q=([Member(A)], False))
    world.view.picked(world.pick("a"))
    world.look(A, load=Load(waiting=4))
    for pool in ("p", "q"):
        assert world.candidate(pool=pool).in_flight == 1
        assert world.candidate(pool=pool).load.waiting == 4


def test_one_that_refuses_is_not_named(world):
    world.look(A, "refused")
    assert world.named() == [B]
    world.look(B, "refused")
    assert world.named() == []
    world.view.tick()
    assert world.healthy["p"] == 0
    world.now_s += 1
    world.look(A)
    assert world.named() == [A]


def test_one_that_is_silent_is_not_named_while_others_answer(world):
    for _ in range(5):
        world.now_s += 1
        world.look(A, "timeout")
        world.look(B)
    assert world.named() == [B]
    world.view.tick()
    assert world.healthy["p"] == 1
    for _ in range(5):
        world.now_s += 1
        world.look(B, "timeout")
    assert world.named() == [A, B], "doubt never empties a pool"


def test_a_look_that_is_told_twice_counts_once(world):
    world.look(A, load=Load(running=1))
    world.look(A, load=Load(running=2))
    assert world.candidate().load.running == 1


def test_a_failed_attempt_makes_a_suspect_until_a_good_look(world):
    world.view.hear(world.end("k", endpoint=B, failed=(A,)))
    assert world.named() == [B]
    assert world.view.conditions("p") == {A: ("ready", ("suspect",)), B: ("ready", ())}
    world.now_s += 0.2
    world.look(A)
    assert world.named() == [A, B]
    world.view.hear(world.end("i", endpoint=B, failed=(A,)))
    assert world.named() == [B]
    world.now_s += SUSPECT_S
    assert world.named() == [A, B], "nobody looks any more"
    world.view.ended(world.end("j", failed=(A, B)))
    assert world.named() == [A, B], "doubt never empties a pool"


def test_while_all_is_well_nothing_is_worked_out_anew(world):
    assert world.view.candidates("p") is world.view.candidates("p")


def test_the_watchdog_is_told_and_has_its_say(world):
    for number in range(12):
        world.view.hear(Ended(f"k{number}", "p", A, world.now_s, 500, 0.1))
        world.now_s += 0.1
    assert world.named() == [B], "more than half of what it answered were errors"


def test_an_engine_that_makes_no_token_of_what_it_has_is_left_out(world):
    """Its server goes on answering, and says of itself that it is idle."""
    load = Load(generation_tokens=9.0, ttft_buckets=((1.0, 3.0),))
    world.view.picked(world.pick("k"))
    for second in range(62):
        world.now_s += 1
        world.view.running("k")
        assert world.named() == ([A, B] if second <= 60 else [B])
        world.look(A, load=load)
        world.look(B, load=load)
    assert world.view.conditions("p")[A] == ("open", ("stuck",))


def test_warmth_comes_of_the_watchdog(world):
    world.view.hear(Members({"p": (Member(A), Member(B, since_s=world.now_s))}))
    world.now_s += 1
    world.view.tick()
    assert world.candidate(A).warmth == 1.0
    assert 0 < world.candidate(B).warmth < 0.5


def test_one_that_is_gone_is_forgotten(world):
    world.view.prefixes("p").note(A, [1, 2])
    world.look(A, "refused")
    world.view.hear(world.pick("k", B))
    world.track(C)
    assert world.named() == [C]
    assert world.view.prefixes("p").matched([1]) == {}
    world.look(A, at_s=999.0)
    world.track(A, B)
    assert world.named() == [A, B], "not judged by what it was"
    assert world.flights(B)[0] == 1, "what was under way still is"


def test_requests_under_way_still_find_a_pool_that_is_gone(world):
    """They go by the policy they began with: the pool's name is in none that is in force."""
    other = {"q": ([Member(C)], False)}
    world.view.track(other)
    assert (world.named(), world.named("q")) == ([A, B], [C])
    assert not world.view.knows(A)
    world.now_s += LEAVE_S - 0.1
    world.view.tick()
    assert world.named() == [A, B]
    world.now_s += 0.1
    world.view.tick()
    assert (world.named(), world.named("q")) == ([], [C])


def test_prefixes_learn_from_picks_and_from_events(world):
    world.view.picked(world.pick("a", blocks=(1, 2, 3)))
    world.view.hear(world.pick("b", B, blocks=(1,)))
    assert world.view.prefixes("p").matched([1, 2, 3, 4]) == {A: 3, B: 1}
    world.view.hear(Stored("p", A, (7, 8), cleared=True))
    assert world.view.prefixes("p").matched([7, 8]) == {A: 2}


def test_what_was_sent_is_cached_even_where_its_end_is_heard_of_first(world):
    """Envoy tells any worker of the end; a quick answer ends before its pick has come around."""
    world.view.ended(world.end("theirs"))
    world.view.hear(world.pick("theirs", blocks=(1, 2)))
    assert world.flights() == (0, 0, 0, 0)
    assert world.view.prefixes("p").matched([1, 2]) == {A: 2}


def test_an_engine_that_was_started_again_has_an_empty_cache(world):
    world.look(A, load=Load(started_s=5.0))
    world.view.picked(world.pick("a", blocks=(1, 2)))
    world.now_s += 1
    world.look(A, load=Load(started_s=5.0))
    assert world.view.prefixes("p").matched([1, 2]) == {A: 2}
    world.now_s += 1
    world.look(A, load=Load(started_s=6.0))
    assert world.view.prefixes("p").matched([1, 2]) == {}


@asynccontextmanager
async def watched(tmp_path, *worlds):
    """These worlds' views on one hub."""
    (tmp_path / "run").mkdir(exist_ok=True)
    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(world.view.run(tmp_path)) for world in worlds]
        yield
        for task in running:
            task.cancel()


async def test_workers_of_a_host_count_alike(tmp_path):
    one, other = World(), World()
    hub = Hub()
    async with watched(tmp_path, one, other), hub.serving(tmp_path / "run" / NAME):
        hub.tell_looks([Look(A, 99.0, "", Load(running=9)), Look(B, 99.0, "refused")])
        for world in (one, other):
            await until(lambda world=world: world.named() == [A])
            assert world.candidate().load.running == 9
        one.view.picked(one.pick("k", blocks=(1, 2)))
        await until(lambda: other.flights() == (1, 60, 1, 60))
        assert other.view.prefixes("p").matched([1, 2]) == {A: 2}
        one.view.running("k")
        other.view.ended(other.end("k", failed=(A,)))
        await until(lambda: one.flights() == (0, 0, 0, 0))


async def test_a_hub_that_was_started_again_learns_what_is_under_way(tmp_path):
    one, late = World(), World()
    path = tmp_path / "run" / NAME
    async with watched(tmp_path, one):
        async with Hub().serving(path):
            one.view.picked(one.pick("k"))
            await asyncio.sleep(0.05)
        assert one.flights()[0] == 1, "nothing stops"
        async with Hub().serving(path), watched(tmp_path, late):
            await until(lambda: late.flights()[0] == 1)


async def test_ends_of_while_the_hub_was_away_are_told_when_it_is_back(tmp_path):
    one, other = World(), World()
    path = tmp_path / "run" / NAME
    async with watched(tmp_path, one, other):
        for key in ("k", "l"):
            one.view.picked(one.pick(key))
            other.view.hear(one.pick(key))
        one.view.ended(one.end("k", failed=(B,)))
        assert (one.flights()[0], other.flights()[0]) == (1, 2)
        async with Hub().serving(path):
            await until(lambda: other.flights()[0] == 1)
            assert other.named() == [A, B], "that B failed was then"


async def test_what_engines_have_counted_is_told_to_every_worker_once(tmp_path):
    one, other = World(), World()
    heard = {one: [], other: []}
    for world, list_ in heard.items():
        world.view.tell_used(list_.append)
    first, last = Used("m", "key-1", 9, "1 0 0 0 1", 5), Used("m", "key-2", 9, "", 5)
    async with watched(tmp_path, one, other), Hub().serving(tmp_path / "run" / NAME):
        for world in heard:
            await until(lambda world=world: world.view._link.is_up)
        one.view.used(first)
        await until(lambda: heard[other])
        other.view.used(last)
        await until(lambda: len(heard[one]) == 2)
    assert heard == {one: [first, last], other: [first, last]}


async def test_what_is_no_longer_looked_at_is_told_once(tmp_path, caplog):
    world = World()
    hub = Hub()
    async with watched(tmp_path, world):
        async with hub.serving(tmp_path / "run" / NAME):
            hub.tell_looks([Look(A, 100.0), Look(B, 100.0)])
            await until(lambda: world.candidate().seen_s == 100.0)
            world.view.tick()
            assert world.stale[-1] == 0
        world.now_s += STALE_S + 0.1
        world.view.tick()
        world.view.tick()
        assert (world.stale[-1], world.named()) == (2, [A, B])
        world.look(A)
        world.look(B)
        world.view.tick()
        assert world.stale[-1] == 0
    told = [record.message for record in caplog.records]
    assert told == ["looks_stale", "looks_fresh"]
