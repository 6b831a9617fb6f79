from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from engines.sim.paged import Pages


def test_blocks_without_a_hash_are_taken_before_any_other():
    pages = Pages(4)
    pages.watch()
    pages.take(2)
    pages.name([1])
    pages.let_go([1], 1)
    pages.take(2)
    assert pages.changes() == ((1,), ())
    pages.take(1)
    assert pages.changes() == ((), (1,))
    assert (pages.free, pages.usage) == (0, 1.0)


def test_what_somebody_uses_stays():
    pages = Pages(4)
    pages.take(2)
    pages.name([1, 2])
    pages.hold([1])
    pages.let_go([1, 2], 0)
    assert pages.match([1, 2], 2) == (2, 1)
    pages.take(2)
    assert pages.match([1, 2], 2) == (1, 0)


def test_a_block_that_is_there_already_is_shared():
    pages = Pages(4)
    for _ in range(2):
        pages.take(1)
        pages.name([1])
    assert (pages.free, pages.cached) == (2, 1)
    pages.let_go([1], 0)
    pages.let_go([1], 0)
    assert (pages.free, pages.cached) == (3, 1)


def test_only_leading_blocks_match():
    pages = Pages(9)
    pages.take(2)
    pages.name([1, 3])
    assert pages.match([1, 2, 3], 3) == (1, 0)
    assert pages.match([2, 1], 2) == (0, 0)
    assert pages.match([1], 0) == (0, 0)


class Users(RuleBasedStateMachine):
    """Any number of users hold and let go; what they hold adds up, and nobody loses a block."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.pages = Pages(12)
        self.held: list[tuple[list[int], int]] = []

    @rule(target=holds, text=st.integers(0, 3), length=st.integers(1, 6), bare=st.integers(0, 2))
    def begin(self, text: int, length: int, bare: int) -> tuple[list[int], int]:
        blocks = [text * 100 + at for at in range(length)]
        found, unused = self.pages.match(blocks, length)
        need = length - found + bare
        if need + unused > self.pages.free:
            return ([], 0)
        self.pages.hold(blocks[:found])
        self.pages.take(need)
        self.pages.name(blocks[found:])
        self.held.append((blocks, bare))
        return (blocks, bare)

    @rule(hold=consumes(holds))
    def end(self, hold: tuple[list[int], int]) -> None:
        if hold[0]:
            self.held.remove(hold)
            self.pages.let_go(*hold)

    @invariant()
    def adds_up(self) -> None:
        named = {block for blocks, _ in self.held for block in blocks}
        bare = sum(bare for _, bare in self.held)
        assert self.pages.usable - self.pages.free == len(named) + bare
        for blocks, _ in self.held:
            assert self.pages.match(blocks, len(blocks)) == (len(blocks), 0)


TestUsers = Users.TestCase
TestUsers.settings = settings(max_examples=40, deadline=None, stateful_step_count=25)
