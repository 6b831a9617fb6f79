"""The KV cache: blocks with counted references, and which of them to give up first. As vLLM does.

A block that is full is known by its hash and stays after its last user has left, until its place is
needed: the longest unused one goes first, and of one sequence the deepest first. Blocks without a
hash are of no use to others and are taken before any.

A hash stands for all blocks before it as well, and who uses a block uses all before it. So nothing
is kept for each block: a stretch of successive ones has the same users, came into disuse together,
and is cut in two where the next user goes another way.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence


class Stretch:
    """Successive blocks of one text, and how many use them; at least one block."""

    __slots__ = ("blocks", "users")

    def __init__(self, blocks: Sequence[int], users: int) -> None:
        self.blocks = blocks
        self.users = users

    def shared(self, blocks: Sequence[int], at: int, most: int) -> int:
        """How many of its blocks stand in `blocks` from `at` on, before `most`; the first one does."""
        own, count = self.blocks, min(len(self.blocks), most - at)
        if own[count - 1] == blocks[at + count - 1]:  # then all before it are the same, too
            return count
        return bisect_left(range(count), True, key=lambda n: own[n] != blocks[at + n])


class Pages:
    """Cost: about 1 us per stretch that is held or let go. `blocks` counts one that is never used."""

    __slots__ = ("_bare", "_changes", "_idle", "_known", "_stretches", "_unused", "usable")

    def __init__(self, blocks: int) -> None:
        self.usable = blocks - 1
        self._bare = self.usable
        self._stretches: dict[int, Stretch] = {}
        """By their first block."""
        self._idle: OrderedDict[Stretch, None] = OrderedDict()
        self._known = self._unused = 0
        """How many blocks are in the one, and in the other."""
        self._changes: dict[int, bool] | None = None
        """What came (True) or went since somebody looked, in order; None: nobody does."""

    @property
    def free(self) -> int:
        """How many blocks can be had, cached ones that nobody uses included."""
        return self._bare + self._unused

    @property
    def usage(self) -> float:
        return 1.0 - self.free / self.usable

    @property
    def cached(self) -> int:
        """How many blocks are known by a hash."""
        return self._known

    def match(self, blocks: Sequence[int], most: int) -> tuple[int, int]:
        """How many leading blocks are cached, and how many of those nobody uses."""
        found, unused, most = 0, 0, min(most, len(blocks))
        while found < most and (stretch := self._stretches.get(blocks[found])) is not None:
            shared = stretch.shared(blocks, found, most)
            found += shared
            if not stretch.users:
                unused += shared
        return found, unused

    def hold(self, blocks: Sequence[int]) -> None:
        """Use blocks that are cached."""
        for stretch in self._cover(blocks):
            if not stretch.users:
                self._unused -= len(stretch.blocks)
                self._idle.pop(stretch, None)
            stretch.users += 1

    def take(self, count: int) -> None:
        """Get blocks without a hash; `count` of them must be free."""
        bare = min(count, self._bare)
        self._bare -= bare
        count -= bare
        while count:
            stretch = next(iter(self._idle))
            kept, gone = stretch.blocks[:-count], stretch.blocks[-count:]
            if kept:
                stretch.blocks = kept
            else:
                del self._idle[stretch], self._stretches[gone[0]]
            count -= len(gone)
            self._known -= len(gone)
            self._unused -= len(gone)
            if self._changes is not None:
                self._changes.update(dict.fromkeys(reversed(gone), False))

    def name(self, blocks: Sequence[int]) -> None:
        """Blocks that were taken, and follow those that are held, are full now. What was there already
        is shared instead."""
        found, _ = self.match(blocks, len(blocks))
        self.hold(blocks[:found])
        self._bare += found
        if new := blocks[found:]:
            self._stretches[new[0]] = Stretch(new, 1)
            self._known += len(new)
            if self._changes is not None:
                for block in new:
                    self._changes.pop(block, None)  # so that it comes after its parent
                    self._changes[block] = True

    def let_go(self, named: Sequence[int], bare: int) -> None:
        """End the use of blocks: `named` in the order of the text, and `bare` without a hash."""
        unused = list[Stretch]()
        for stretch in self._cover(named):
            stretch.users -= 1
            if not stretch.users:
                unused.append(stretch)
        self._bare += bare
        if unused:
            self._unite(unused, named)

    def watch(self) -> None:
        """Begin to note what comes and goes."""
        self._changes = {}

    def changes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What is new in the cache since the last call, parents first, and what is gone."""
        changes, self._changes = self._changes or {}, {}
        stored = tuple(block for block, is_there in changes.items() if is_there)
        return stored, tuple(block for block, is_there in changes.items() if not is_there)

    def _cover(self, blocks: Sequence[int]) -> Sequence[Stretch]:
        """The stretches that make up the beginning of a text, cut where it ends or leaves others."""
        found, at = list[Stretch](), 0
        while at < len(blocks):
            stretch = self._stretches[blocks[at]]
            shared = stretch.shared(blocks, at, len(blocks))
            if shared < len(stretch.blocks):
                stretch = self._cut(stretch, shared)
            found.append(stretch)
            at += shared
        return found

    def _cut(self, stretch: Stretch, count: int) -> Stretch:
        """Make the first `count` blocks a stretch of their own, for somebody who uses no more."""
        front = Stretch(stretch.blocks[:count], stretch.users)
        stretch.blocks = stretch.blocks[count:]
        for each in (front, stretch):
            self._stretches[each.blocks[0]] = each
        return front

    def _unite(self, unused: Sequence[Stretch], text: Sequence[int]) -> None:
        """The last ones of a text are in disuse from now on: as one, given up from its end."""
        first, *others = unused
        for each in others:
            del self._stretches[each.blocks[0]]
        first.blocks = text[-sum(len(each.blocks) for each in unused) :]
        self._idle[first] = None
        self._unused += len(first.blocks)
