from collections import OrderedDict
from collections.abc import Sequence

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


class OneByOne:
    """The same cache with a count for each block, as slow as it is plain."""

    def __init__(self, blocks: int) -> None:
        self.bare = blocks - 1
        self.refs: dict[int, int] = {}
        self.idle: OrderedDict[int, None] = OrderedDict()
        self.stored: dict[int, bool] = {}

    def hold(self, blocks: Sequence[int]) -> None:
        for block in blocks:
            self.refs[block] += 1
            self.idle.pop(block, None)

    def take(self, count: int) -> None:
        for _ in range(count):
            if self.bare:
                self.bare -= 1
                continue
            block, _ = self.idle.popitem(last=False)
            del self.refs[block]
            self.stored[block] = False

    def name(self, blocks: Sequence[int]) -> None:
        for block in blocks:
            if block in self.refs:
                self.hold([block])
                self.bare += 1
            else:
                self.refs[block] = 1
                self.stored.pop(block, None)
                self.stored[block] = True

    def let_go(self, named: Sequence[int], bare: int) -> None:
        self.bare += bare
        for block in reversed(named):
            self.refs[block] -= 1
            if not self.refs[block]:
                self.idle[block] = None


TEXTS = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 40, 50], [1, 2, 300, 400], [7, 8, 9], [7, 80]]
"""Some begin alike."""


class Users(RuleBasedStateMachine):
    """Any number of users hold and let go; nobody loses a block, and stretches are blocks one by one."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.pages, self.model = Pages(12), OneByOne(12)
        self.pages.watch()
        self.held: list[tuple[list[int], int]] = []

    @rule(
        target=holds, text=st.sampled_from(TEXTS), length=st.integers(1, 6), bare=st.integers(0, 2)
    )
    def begin(self, text: list[int], length: int, bare: int) -> tuple[list[int], int]:
        blocks = text[:length]
        found, unused = self.pages.match(blocks, length)
        need = len(blocks) - found + bare
        if need + unused > self.pages.free:
            return ([], 0)
        for each in (self.pages, self.model):
            each.hold(blocks[:found])
            each.take(need)
            each.name(blocks[found:])
        self.held.append((blocks, bare))
        return (blocks, bare)

    @rule(target=holds, text=st.sampled_from(TEXTS), known=st.integers(0, 2))
    def compute_again(self, text: list[int], known: int) -> tuple[list[int], int]:
        """As somebody who did not wait for what others compute."""
        known = min(known, self.pages.match(text, len(text))[0])
        if len(text) > self.pages.free:
            return ([], 0)
        for each in (self.pages, self.model):
            each.hold(text[:known])
            each.take(len(text) - known)
            each.name(text[known:])
        self.held.append((text, 0))
        return (text, 0)

    @rule(hold=consumes(holds))
    def end(self, hold: tuple[list[int], int]) -> None:
        if hold[0]:
            self.held.remove(hold)
            self.pages.let_go(*hold)
            self.model.let_go(*hold)

    @invariant()
    def adds_up(self) -> None:
        named = {block for blocks, _ in self.held for block in blocks}
        bare = sum(bare for _, bare in self.held)
        assert self.pages.usable - self.pages.free == len(named) + bare
        for blocks, _ in self.held:
            assert self.pages.match(blocks, len(blocks)) == (len(blocks), 0)

    @invariant()
    def is_as_one_by_one(self) -> None:
        pages, model = self.pages, self.model
        assert (pages.free, pages.cached) == (model.bare + len(model.idle), len(model.refs))
        stored, model.stored = model.stored, {}
        came = tuple(block for block, is_there in stored.items() if is_there)
        assert pages.changes() == (came, tuple(block for block in stored if block not in came))
        for text in TEXTS:
            known = [model.refs[block] for block in text if block in model.refs]
            assert pages.match(text, len(text)) == (len(known), known.count(0))


TestUsers = Users.TestCase
TestUsers.settings = settings(max_examples=60, deadline=None, stateful_step_count=25)
