"""The index of prefixes: what it says, that it forgets, and that it stays within its bounds."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from extproc.routing.prefixes import FLAGS, LEAST_BLOCKS, SPECULATIVE_S, Prefixes

A, B, C = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"


def numbers(start, count):
    return list(range(start, start + count))


def test_the_first_blocks_that_each_has():
    known = Prefixes()
    known.note(A, [1, 2, 3, 4])
    known.note(B, [1, 2, 9])
    assert known.matched([1, 2, 3, 7]) == {A: 3, B: 2}
    assert known.matched([1, 2, 3, 4]) == {A: 4, B: 2}
    assert known.matched([2, 3]) == {A: 2, B: 1}
    assert known.matched([7, 1]) == known.matched([]) == {}


def test_a_hole_ends_a_match():
    known = Prefixes()
    known.store(A, [1, 3])
    assert known.matched([1, 2, 3]) == {A: 1}


SYSTEM = (1, 2)


def test_what_conversations_share_ends_where_they_part():
    known = Prefixes()
    known.note(A, [*SYSTEM, 10, 11])
    assert known.shared([*SYSTEM, 20]) == 0  # one alone tells nothing
    known.note(B, [*SYSTEM, 20])
    assert (
        known.shared([*SYSTEM, 10, 11]) == known.shared([*SYSTEM, 30]) == known.shared(SYSTEM) == 2
    )
    assert known.shared([1, 40]) == known.shared([]) == 0


def test_the_next_turn_of_a_conversation_parts_from_nothing():
    known = Prefixes()
    for turn in range(3, 9):
        known.note(A, numbers(1, turn))
        known.note(A, numbers(1, turn))
    assert known.shared(numbers(1, 20)) == 0
    known.note(A, [1, 2, 3, 4, 99])  # asked again, from its second answer on
    assert known.shared(numbers(1, 20)) == 4


def test_a_prompt_that_ends_within_what_is_shared_does_not_hide_it():
    known = Prefixes()
    for blocks in ([*SYSTEM, 10], SYSTEM, [*SYSTEM, 20]):
        known.note(A, blocks)
    assert known.shared([*SYSTEM, 30]) == 2


def test_what_is_shared_is_forgotten_with_who_had_it():
    known = Prefixes()
    known.note(A, [*SYSTEM, 10])
    known.note(A, [*SYSTEM, 20])
    known.forget(A)
    assert known.shared([*SYSTEM, 30]) == 0


def test_engines_that_tell_their_caches_tell_nothing_of_conversations():
    known = Prefixes()
    known.store(A, [*SYSTEM, 10])
    known.note(A, [*SYSTEM, 20])
    assert known.shared([*SYSTEM, 30]) == 0


def test_where_our_own_prompts_part_is_learned_whatever_engines_tell():
    known = Prefixes()
    for endpoint in (A, B):
        known.store(endpoint, [*SYSTEM, 10, 11])  # of another gateway
    known.note(A, [*SYSTEM, 20])
    assert known.shared([*SYSTEM, 40]) == 0  # one alone tells nothing
    known.note(B, [*SYSTEM, 30])
    known.store(B, [*SYSTEM, 30, 31])  # with the answer
    assert known.shared([*SYSTEM, 40]) == known.shared([*SYSTEM, 10, 11]) == 2
    known.note(B, [*SYSTEM, 30, 31, 32])
    known.note(A, [*SYSTEM, 10, 11, 12])  # the next turns of what we began, and of another's
    assert known.shared([*SYSTEM, 30, 31, 32]) == known.shared([*SYSTEM, 10, 11, 12]) == 2


def test_what_no_engine_has_stored_is_not_ours_any_more():
    """It may come back by others, and we know no longer where our own prompt ended."""
    known = Prefixes()
    known.store(A, SYSTEM)
    known.note(A, [*SYSTEM, 10, 11], 0.0)
    known.note(A, [*SYSTEM, 20], 2 * SPECULATIVE_S)
    known.store(A, [10, 11, 12])
    known.note(A, [*SYSTEM, 10, 11, 12], 2 * SPECULATIVE_S)
    assert known.shared([*SYSTEM, 10, 11, 12, 13]) == 2


@given(st.randoms(use_true_random=False), st.booleans())
def test_gateways_that_met_different_conversations_agree_on_what_is_shared(chance, is_told):
    """Whichever turns came through them, wherever they sent these, and whether engines tell of their
    caches, in which there are others' turns as well."""
    turns = [
        [*SYSTEM, *numbers(100 * thread, turn)] for thread in range(1, 9) for turn in range(1, 6)
    ]
    for _ in range(2):
        known = Prefixes()
        for endpoint in (A, B, C) if is_told else ():
            known.store(endpoint, SYSTEM)
        known.note(A, [*SYSTEM, 100])
        known.note(A, [*SYSTEM, 200])
        for blocks in sorted(chance.sample(turns, 20), key=len):
            known.note(chance.choice([A, B, C]), blocks)
            if is_told:
                known.store(chance.choice([A, B, C]), chance.choice(turns))
        assert {known.shared(blocks) for blocks in turns} == {2}


def test_the_least_recently_used_goes_first_and_its_end_before_its_beginning():
    known = Prefixes(most_blocks=400)
    known.note(A, numbers(0, 300))
    known.note(A, numbers(1000, 100))
    known.note(A, numbers(2000, 100))
    left = known.matched(numbers(0, 300)).get(A, 0)
    assert 100 <= left < 200
    assert known.matched(numbers(1000, 100)) == known.matched(numbers(2000, 100)) == {A: 100}


def test_what_is_used_again_stays():
    known = Prefixes(most_blocks=400)
    known.note(A, numbers(0, 200))
    known.note(A, numbers(1000, 200))
    known.note(A, numbers(0, 200))
    known.note(A, numbers(2000, 100))
    assert known.matched(numbers(0, 200)) == {A: 200}
    assert known.matched(numbers(1000, 200)).get(A, 0) < 200


def test_an_engine_that_tells_its_size_keeps_as_much():
    known = Prefixes()
    known.note(A, [1])
    known.size(A, 500)
    for start in range(0, 100_000, 100):
        known.note(A, numbers(start, 100))
    assert len(known) <= 500
    known.size(A, 0)  # not known: as before
    known.note(A, numbers(200_000, 100))
    assert len(known) <= 500
    known.size(A, 1)
    known.note(A, numbers(300_000, 2000))
    assert known.matched(numbers(300_000, 2000))[A] <= LEAST_BLOCKS


def test_a_pool_is_bounded_by_those_that_have_most():
    known = Prefixes(most_of_pool=3000)
    known.note(B, numbers(10**6, 500))
    for start in range(0, 10_000, 100):
        known.note(A, numbers(start, 100))
    assert len(known) <= 3000
    assert known.matched(numbers(10**6, 500)) == {B: 500}


def test_bounds_can_be_set_later():
    known = Prefixes()
    known.note(A, numbers(0, 2000))
    known.bound(1000, 10_000)
    known.note(A, numbers(5000, 10))
    assert len(known) <= 1000
    known.note(B, numbers(0, 5000))
    assert len(known) <= 2000


def test_a_share_of_a_cache_is_ours_unless_the_engine_tells():
    known = Prefixes(most_blocks=2000)
    known.share = 0.25
    for start in range(0, 100_000, 100):
        known.note(A, numbers(start, 100))
        known.store(B, numbers(start, 100))
    assert len(known._shelves[A].kept) <= 500
    assert len(known._shelves[B].kept) > 1500


def test_where_events_come_only_they_count():
    known = Prefixes()
    known.note(A, [1, 2, 3])
    assert not known.is_precise(A)
    known.store(A, [7])
    assert known.is_precise(A)
    assert known.matched([1, 2, 3]) == {}
    assert known.matched([7]) == {A: 1}
    known.remove(A, [7, 8])
    assert known.matched([7]) == {}


def test_a_pick_counts_until_the_events_should_have_come():
    known = Prefixes()
    known.store(A, [1])
    known.note(A, [1, 2, 3], 100.0)
    assert known.matched([1, 2, 3], 100.0 + SPECULATIVE_S - 0.01) == {A: 3}
    known.store(A, [2])
    assert known.matched([1, 2, 3], 100.0 + SPECULATIVE_S) == {A: 2}


def test_a_second_pick_counts_longer():
    known = Prefixes()
    known.store(A, [9])
    known.note(A, [1], 100.0)
    known.note(A, [1], 101.0)
    assert known.matched([1], 102.5) == {A: 1}
    assert known.matched([1], 103.0) == {}


def test_a_conversation_is_one_though_its_engine_stores_it_late():
    known, turns, now_s = Prefixes(), [], 0.0
    known.store(A, [999])
    for turn in range(5):
        turns = [*turns, *range(turn * 10, turn * 10 + 5)]
        known.note(A, turns, now_s)
        now_s += SPECULATIVE_S + 1
        assert known.matched([777], now_s) == {}  # another pick, by which the first is overdue
        known.store(A, turns)
        assert known.shared([*turns, 12345]) == 0


def test_a_cache_that_is_cleared_is_empty_and_still_precise():
    known = Prefixes()
    known.store(A, [1, 2])
    known.note(B, [1, 2])
    known.clear(A)
    assert known.matched([1, 2]) == {B: 2}
    known.note(A, [1], 0.0)
    assert known.matched([1], 5.0) == {B: 1}


def test_an_endpoint_that_is_forgotten_is_approximate_again():
    known = Prefixes()
    known.store(A, [1])
    known.forget(A)
    known.forget(B)
    assert known.matched([1]) == {}
    known.note(A, [1, 2], 0.0)
    assert known.matched([1, 2], 1e9) == {A: 2}


def test_what_is_forgotten_leaves_no_trace():
    known = Prefixes()
    for round_ in range(50):
        known.note(A, numbers(round_ * 1000, 600))
        known.forget(A)
    for _ in range(200):
        known.note(B, [1])
    assert len(known) == 1
    assert len(known._holders) == 1
    assert len(known._by_number) <= 52
    assert known.matched([1]) == {B: 1}


class Naive:
    """The same with sets, and no bounds that are ever met."""

    def __init__(self):
        self.has, self.precise, self.until = {}, set(), {}

    def note(self, endpoint, blocks, now):
        if endpoint in self.precise:
            for block in blocks:
                key = endpoint, block
                self.until[key] = max(self.until.get(key, 0.0), now + SPECULATIVE_S)
        else:
            self.has.setdefault(endpoint, set()).update(blocks)

    def begin(self, endpoint):
        if endpoint not in self.precise:
            self.wipe(endpoint)
            self.precise.add(endpoint)

    def wipe(self, endpoint):
        self.has.pop(endpoint, None)
        self.until = {key: until for key, until in self.until.items() if key[0] != endpoint}

    def holds(self, endpoint, block, now):
        there = block in self.has.get(endpoint, ())
        return there or self.until.get((endpoint, block), 0.0) > now

    def matched(self, blocks, now):
        found = {}
        for endpoint in (A, B, C):
            count = 0
            while count < len(blocks) and self.holds(endpoint, blocks[count], now):
                count += 1
            if count:
                found[endpoint] = count
        return found


ENDPOINTS = st.sampled_from([A, B, C])
BLOCKS = st.lists(st.integers(1, 12), max_size=8, unique=True)


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order, it says what the sets say."""

    def __init__(self):
        super().__init__()
        self.known, self.naive, self.now = Prefixes(), Naive(), 10.0

    @rule(endpoint=ENDPOINTS, blocks=BLOCKS)
    def note(self, endpoint, blocks):
        self.known.note(endpoint, blocks, self.now)
        self.naive.note(endpoint, blocks, self.now)

    @rule(endpoint=ENDPOINTS, blocks=BLOCKS)
    def store(self, endpoint, blocks):
        self.known.store(endpoint, blocks)
        self.naive.begin(endpoint)
        self.naive.has.setdefault(endpoint, set()).update(blocks)

    @rule(endpoint=ENDPOINTS, blocks=BLOCKS)
    def remove(self, endpoint, blocks):
        self.known.remove(endpoint, blocks)
        self.naive.begin(endpoint)
        self.naive.has.setdefault(endpoint, set()).difference_update(blocks)
        for block in blocks:
            self.naive.until.pop((endpoint, block), None)

    @rule(endpoint=ENDPOINTS)
    def clear(self, endpoint):
        self.known.clear(endpoint)
        self.naive.precise.add(endpoint)
        self.naive.wipe(endpoint)

    @rule(endpoint=ENDPOINTS)
    def forget(self, endpoint):
        self.known.forget(endpoint)
        self.naive.wipe(endpoint)
        self.naive.precise.discard(endpoint)

    @rule(seconds=st.floats(0.1, 5.0))
    def wait(self, seconds):
        self.now += seconds

    @rule(blocks=BLOCKS)
    def match(self, blocks):
        assert self.known.matched(blocks, self.now) == self.naive.matched(blocks, self.now)

    @invariant()
    def counts_are_right(self):
        shelves = [*self.known._shelves.values(), *self.known._retired]
        assert len(self.known) == sum(len(shelf.kept) for shelf in shelves)
        bits = sum((mask >> FLAGS).bit_count() for mask in self.known._holders.values())
        assert bits == len(self.known)


TestAnyOrder = AnyOrder.TestCase


@given(
    st.lists(st.tuples(ENDPOINTS, st.integers(0, 20), st.integers(1, 400)), max_size=40),
    st.integers(256, 1500),
)
def test_bounds_hold_and_what_is_left_of_a_prompt_is_its_beginning(notes, most):
    known = Prefixes(most_blocks=most, most_of_pool=2 * most)
    for endpoint, chain, length in notes:
        known.note(endpoint, numbers(chain * 1000, length))
        assert len(known) <= 2 * most
    for shelf in known._shelves.values():
        assert len(shelf.kept) <= most
        for block in shelf.kept:
            assert block % 1000 == 0 or block - 1 in shelf.kept
