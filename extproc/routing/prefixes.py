"""Which endpoint is likely to have which beginnings of prompts in its KV cache.

Two sources. *Approximate*: what was sent somewhere is there, until so much else was sent that it
has been pushed out (least recently used first). *Precise*: the engine tells of every block it stores
and removes (KV events); from then on only its word counts, but for a short while after a pick,
because its word comes later than the next request may.

For every block there is one integer with a bit for each endpoint that has it. Matching a prompt is
then an AND for each of its blocks, however many endpoints there are, and ends with the first block
that nobody has. An endpoint that loses all of its cache gets a new bit; the old one is taken out of
the integers little by little, for nobody to wait. Three more bits tell what several conversations
share from what is one's own: that is learned from our own prompts only, whatever engines tell.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from math import inf

BLOCK_TOKENS = 64
"""What a block stands for, where it is not one of an engine's own: llm-d's least. Smaller ones cost
more and tell no more: a prompt that shares less is as good anywhere."""
MOST_BLOCKS = 31_250
"""Of one endpoint whose size is not known: two million tokens in blocks of 64, as llm-d keeps
(`lruCapacityPerServer`)."""
MOST_OF_POOL = 1_000_000
"""Of all endpoints of a pool together: 240 MB at worst (`make bench-picking`), 64 million tokens in
blocks of 64. Beyond it the endpoint that has most loses some."""
LEAST_BLOCKS = 256
"""What an endpoint may keep in any case."""
SPECULATIVE_S = 2.0
"""How long a pick counts where the engine tells of its cache itself: as llm-d (`speculativeTTL`)."""
AT_ONCE = 256
"""Blocks thrown out together: a dict finds its oldest key by walking over all that were deleted, so
one by one would be quadratic. 60 us."""


MOST_AT_ONCE = 4 * 2_048
"""Thrown out at most: when a bound has become smaller, little by little. More than any prompt has."""


FORK, END, OURS, FLAGS = 1, 2, 4, 3
"""Bits of a block that are no endpoint's, and how many these are. FORK: prompts parted after it; END: one
ended with it, and has not gone on yet; OURS: we have sent it, and it has been somewhere ever since."""


class Shelf:
    """What one endpoint has. `bit` is its own in every integer, `sent` the same with OURS."""

    __slots__ = ("bit", "endpoint", "is_precise", "kept", "most", "sent")

    def __init__(self, endpoint: str, bit: int, most: int, *, is_precise: bool) -> None:
        self.endpoint = endpoint
        self.bit = bit
        self.sent = bit | OURS
        self.most = most
        self.is_precise = is_precise
        self.kept: dict[int, float] = {}
        """Block -> until when it counts; the least recently used first."""


class Prefixes:
    """Of one pool. Not for several threads."""

    def __init__(
        self,
        most_blocks: int = MOST_BLOCKS,
        most_of_pool: int = MOST_OF_POOL,
        speculative_s: float = SPECULATIVE_S,
    ) -> None:
        self._most_blocks = most_blocks
        self._most_of_pool = most_of_pool
        self._speculative_s = speculative_s
        self.share = 1.0
        """Of each cache that holds what we have sent: the rest is taken by what others send. Only where
        the engine does not tell itself."""
        self._holders: dict[int, int] = {}
        self._shelves: dict[str, Shelf] = {}
        self._by_number: list[Shelf | None] = []
        """Whose bit it is; None: free."""
        self._total = 0
        self._live = 0
        """All bits of `_shelves`."""
        self._retired: deque[Shelf] = deque()
        self._expected: deque[tuple[float, Shelf, Sequence[int]]] = deque()

    def __len__(self) -> int:
        """How many blocks are kept, each as often as endpoints have it."""
        return self._total

    def bound(self, most_blocks: int, most_of_pool: int) -> None:
        """Keep no more than so many from now on, of an endpoint whose size is not known and of all."""
        for shelf in self._shelves.values():
            if shelf.most == self._most_blocks:
                shelf.most = most_blocks
        self._most_blocks, self._most_of_pool = most_blocks, most_of_pool

    def size(self, endpoint: str, blocks: int) -> None:
        """Take note how many blocks, of whatever size those here have, fit into its cache; 0 is not
        known."""
        shelf = self._shelves.get(endpoint)
        if shelf is not None and blocks:
            shelf.most = max(blocks, LEAST_BLOCKS)

    def is_precise(self, endpoint: str) -> bool:
        """Say whether it tells of its cache itself."""
        shelf = self._shelves.get(endpoint)
        return shelf is not None and shelf.is_precise

    def note(self, endpoint: str, blocks: Sequence[int], now_s: float = 0.0) -> None:
        """Expect these to be there: a prompt that begins with them was sent to it."""
        shelf, until_s = self._shelf(endpoint), inf
        if shelf.is_precise:
            until_s = now_s + self._speculative_s
            self._expected.append((until_s, shelf, blocks))
        # Whatever is known of a prompt is a beginning of it.
        known = bisect_left(blocks, True, key=self._is_new)
        # The last block first: the beginning is used by more prompts, and must go last. So whatever
        # is kept of a prompt is a beginning of it.
        self._keep(shelf, reversed(blocks), until_s, shelf.sent)
        if known < len(blocks):
            if shelf.is_precise:
                self._own(islice(blocks, known, None))
            self._mark(blocks, known)
        self._tidy(now_s)

    def store(self, endpoint: str, blocks: Iterable[int]) -> None:
        """Believe an engine that it has stored these."""
        shelf = self._precise(endpoint)
        self._keep(shelf, blocks, inf, shelf.bit)
        self._tidy(-inf)

    def remove(self, endpoint: str, blocks: Iterable[int]) -> None:
        """Believe an engine that these are gone."""
        shelf = self._precise(endpoint)
        for block in blocks:
            if shelf.kept.pop(block, None) is not None:
                self._drop(block, shelf.bit)

    def clear(self, endpoint: str) -> None:
        """Believe an engine that it has nothing any more."""
        self._retire(endpoint)
        self._open(endpoint, is_precise=True)

    def forget(self, endpoint: str) -> None:
        """Know nothing of it: it is gone, has been started again, or its events have ended."""
        self._retire(endpoint)
        self._tidy(-inf)

    def keep_only(self, endpoints: Collection[str]) -> None:
        """Forget all others."""
        for gone in self._shelves.keys() - set(endpoints):
            self.forget(gone)

    def matched(self, blocks: Sequence[int], now_s: float = 0.0) -> Mapping[str, int]:
        """Say how many of the first blocks each endpoint has; those with none are left out."""
        if self._expected and self._expected[0][0] <= now_s:
            self._expire(now_s)
        found: dict[str, int] = {}
        mask, get = self._live, self._holders.get
        for count, block in enumerate(blocks):
            still = mask & get(block, 0)
            if still != mask:
                if count:
                    self._write_down(mask ^ still, count, found)
                if not still:
                    return found
                mask = still
        if blocks:
            self._write_down(mask, len(blocks), found)
        return found

    def shared(self, blocks: Sequence[int]) -> int:
        """Say how many of the first blocks are shared with other conversations, as a system prompt or a
        document is: those before the last place where prompts that we have sent parted. Gateways
        that have each seen two of these conversations say the same, wherever they sent them. A
        conversation whose end was thrown out and comes back counts as two, parted there."""
        get, live, depth = self._holders.get, self._live, 0
        for count, block in enumerate(blocks, 1):
            held = get(block, 0)
            if not held & live:
                break
            if held & FORK:
                depth = count
        return depth

    def _is_new(self, block: int) -> bool:
        return not self._holders.get(block, 0) & OURS

    def _own(self, blocks: Iterable[int]) -> None:
        """Take note that we have sent these: engines may have told of them before."""
        holders = self._holders
        for block in blocks:
            held = holders.get(block, OURS)
            if not held & OURS:
                holders[block] = held | OURS

    def _mark(self, blocks: Sequence[int], known: int) -> None:
        """Take note of where a prompt leaves what was known: where another one ended it is that one's
        next turn, and anywhere else a fork."""
        holders = self._holders
        last = blocks[known - 1] if known else 0
        if known and last in holders:
            holders[last] = holders[last] ^ END if holders[last] & END else holders[last] | FORK
        if blocks[-1] in holders:
            holders[blocks[-1]] |= END

    def _write_down(self, mask: int, count: int, found: dict[str, int]) -> None:
        by_number = self._by_number
        while mask:
            lowest = mask & -mask
            shelf = by_number[lowest.bit_length() - 1 - FLAGS]
            if shelf is not None:
                found[shelf.endpoint] = count
            mask ^= lowest

    def _shelf(self, endpoint: str) -> Shelf:
        return self._shelves.get(endpoint) or self._open(endpoint, is_precise=False)

    def _precise(self, endpoint: str) -> Shelf:
        shelf = self._shelves.get(endpoint)
        if shelf is None or not shelf.is_precise:
            self.clear(endpoint)
            shelf = self._shelves[endpoint]
        return shelf

    def _open(self, endpoint: str, *, is_precise: bool) -> Shelf:
        free = (number for number, owner in enumerate(self._by_number) if owner is None)
        number = next(free, len(self._by_number))
        shelf = Shelf(endpoint, 1 << number + FLAGS, self._most_blocks, is_precise=is_precise)
        if number == len(self._by_number):
            self._by_number.append(shelf)
        else:
            self._by_number[number] = shelf
        self._shelves[endpoint] = shelf
        self._live |= shelf.bit
        return shelf

    def _retire(self, endpoint: str) -> None:
        shelf = self._shelves.pop(endpoint, None)
        if shelf is not None:
            self._live ^= shelf.bit
            self._retired.append(shelf)

    def _keep(self, shelf: Shelf, blocks: Iterable[int], until_s: float, bit: int) -> None:
        """`bit` is the shelf's, or `sent`."""
        kept, holders = shelf.kept, self._holders
        pop, before = kept.pop, len(kept)
        for block in blocks:
            known = pop(block, None)
            if known is None:
                kept[block] = until_s
                others = holders.get(block)
                # The endpoint's own integer, not a copy: most blocks are in one place only.
                holders[block] = bit if others is None else others | bit
            else:
                kept[block] = max(known, until_s)
        self._total += len(kept) - before
        most = shelf.most if shelf.is_precise else max(int(shelf.most * self.share), LEAST_BLOCKS)
        if len(kept) > most:
            self._evict(shelf, min(len(kept) - most, MOST_AT_ONCE))
        if self._total > self._most_of_pool:
            fullest = max(self._shelves.values(), key=count_kept)
            self._evict(fullest, self._total - self._most_of_pool)

    def _evict(self, shelf: Shelf, count: int) -> None:
        """Throw out the least recently used, and some more."""
        more = min(AT_ONCE, (len(shelf.kept) - count) // 8)
        for block in list(islice(shelf.kept, count + more)):
            del shelf.kept[block]
            self._drop(block, shelf.bit)

    def _drop(self, block: int, bit: int) -> None:
        """Take the bit out, after the block has left the endpoint's own list."""
        self._total -= 1
        left = self._holders[block] & ~bit
        if left >> FLAGS:
            self._holders[block] = left
        else:
            del self._holders[block]

    def _expire(self, now_s: float) -> None:
        """End what was expected, and has not been confirmed."""
        while self._expected and self._expected[0][0] <= now_s:
            _, shelf, blocks = self._expected.popleft()
            for block in blocks:
                if shelf.kept.get(block, inf) <= now_s:
                    del shelf.kept[block]
                    self._drop(block, shelf.bit)
            # What has come of it is a beginning of its next turn: an engine may store a long prompt late.
            known = bisect_left(blocks, True, key=self._is_new)
            if 0 < known < len(blocks):
                self._holders[blocks[known - 1]] |= END

    def _tidy(self, now_s: float) -> None:
        """Take some more of what nobody asks for out of the integers."""
        if self._expected:
            self._expire(now_s)
        if not self._retired:
            return
        shelf = self._retired[0]
        for _ in range(min(len(shelf.kept), AT_ONCE)):
            block, _ = shelf.kept.popitem()
            self._drop(block, shelf.bit)
        if not shelf.kept:
            self._retired.popleft()
            self._by_number[shelf.bit.bit_length() - 1 - FLAGS] = None


def count_kept(shelf: Shelf) -> int:
    return len(shelf.kept)
