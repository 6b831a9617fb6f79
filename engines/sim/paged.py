"""The KV cache: blocks with counted references, and which of them to give up first. As vLLM does.

A block that is full is known by its hash and stays after its last user has left, until its place is
needed: the longest unused one goes first, and of one sequence the deepest first. Blocks without a
hash are of no use to others and are taken before any.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice


class Pages:
    """Cost: about 0.15 us per block that is held or let go. `blocks` counts one that is never used."""

    __slots__ = ("_bare", "_changes", "_idle", "_refs", "usable")

    def __init__(self, blocks: int) -> None:
        self.usable = blocks - 1
        self._bare = self.usable
        self._refs: dict[int, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._changes: dict[int, bool] | None = None
        """What came (True) or went since somebody looked, in order; None: nobody does."""

    @property
    def free(self) -> int:
        """How many blocks can be had, cached ones that nobody uses included."""
        return self._bare + len(self._idle)

    @property
    def usage(self) -> float:
        return 1.0 - self.free / self.usable

    @property
    def cached(self) -> int:
        """How many blocks are known by a hash."""
        return len(self._refs)

    def match(self, blocks: Sequence[int], most: int) -> tuple[int, int]:
        """How many leading blocks are cached, and how many of those nobody uses."""
        refs, found, unused = self._refs, 0, 0
        for block in islice(blocks, most):
            count = refs.get(block)
            if count is None:
                break
            found += 1
            unused += count == 0
        return found, unused

    def hold(self, blocks: Sequence[int]) -> None:
        """Use blocks that are cached."""
        refs, idle = self._refs, self._idle
        for block in blocks:
            count = refs[block]
            if count == 0:
                del idle[block]
            refs[block] = count + 1

    def take(self, count: int) -> None:
        """Get blocks without a hash; `count` of them must be free."""
        bare = min(count, self._bare)
        self._bare -= bare
        for _ in range(count - bare):
            block, _ = self._idle.popitem(last=False)
            del self._refs[block]
            if self._changes is not None:
                self._changes[block] = False

    def name(self, blocks: Sequence[int]) -> None:
        """Blocks that were taken are full now. One that was there already is shared instead."""
        refs, idle, changes = self._refs, self._idle, self._changes
        for block in blocks:
            count = refs.get(block)
            if count is None:
                refs[block] = 1
                if changes is not None:
                    changes.pop(block, None)  # so that it comes after its parent
                    changes[block] = True
                continue
            if count == 0:
                del idle[block]
            refs[block] = count + 1
            self._bare += 1

    def let_go(self, named: Sequence[int], bare: int) -> None:
        """End the use of blocks: `named` in the order of the text, and `bare` without a hash."""
        refs, idle = self._refs, self._idle
        for block in reversed(named):
            count = refs[block] - 1
            refs[block] = count
            if count == 0:
                idle[block] = None
        self._bare += bare

    def watch(self) -> None:
        """Begin to note what comes and goes."""
        self._changes = {}

    def changes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What is new in the cache since the last call, parents first, and what is gone."""
        changes, self._changes = self._changes or {}, {}
        stored = tuple(block for block, is_there in changes.items() if is_there)
        return stored, tuple(block for block, is_there in changes.items() if not is_there)
