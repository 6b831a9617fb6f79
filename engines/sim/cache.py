"""The prefix cache of an engine without physics: which blocks it has computed before."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from engines.blocks import chain, root


@dataclass(frozen=True, slots=True)
class Lookup:
    """What one prompt found: `cached` blocks, and the key of its last full block."""

    cached: int
    last_key: int


def chained(parent: int, blocks: Sequence[str]) -> list[int]:
    """The keys of blocks that follow `parent`: each covers all text before it, and the salt."""
    keys: list[int] = []
    for block in blocks:
        parent = chain(parent, block.encode("utf-8", "surrogatepass"))
        keys.append(parent)
    return keys


class PrefixCache:
    """A least-recently-used set of blocks, each known by its text and all text before it.

    A block's key is a chain of hashes that starts with the salt, so another salt sees nothing.
    Cost: about 0.5 us per block.
    """

    def __init__(self, capacity_blocks: int) -> None:
        self._capacity_blocks = capacity_blocks
        self._blocks: OrderedDict[int, None] = OrderedDict()
        self._changes: dict[int, bool] | None = None

    def __len__(self) -> int:
        return len(self._blocks)

    def take(self, blocks: Sequence[str], salt: str | None, *, most: int) -> Lookup:
        """Count the leading blocks that are cached, `most` at the most, and keep them all.

        `most` is the caller's because vLLM always computes at least one token of a prompt, so a
        prompt that is cached to its very end still misses its last block.
        """
        first = root(salt or "")
        keys = chained(first, blocks)
        cached = 0
        for key in keys[: max(most, 0)]:
            if key not in self._blocks:
                break
            cached += 1
        self._keep(keys)
        return Lookup(cached, keys[-1] if keys else first)

    def extend(self, last_key: int, blocks: Sequence[str]) -> None:
        """Keep the blocks that follow the block of `last_key`."""
        self._keep(chained(last_key, blocks))

    def watch(self) -> None:
        """Begin to note what comes and goes."""
        self._changes = {}

    def changes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What is new in the cache since the last call, parents first, and what is gone."""
        changes, self._changes = self._changes or {}, {}
        stored = tuple(key for key, is_there in changes.items() if is_there)
        return stored, tuple(key for key, is_there in changes.items() if not is_there)

    def _keep(self, keys: Sequence[int]) -> None:
        if self._changes is not None:
            for key in keys:
                if key not in self._blocks:
                    self._changes.pop(key, None)
                    self._changes[key] = True
        # The deepest block first, so that it is also the first to go: a block is of no use without
        # those before it. vLLM frees in this order too.
        for key in reversed(keys):
            self._blocks[key] = None
            self._blocks.move_to_end(key)
        while len(self._blocks) > self._capacity_blocks:
            key, _ = self._blocks.popitem(last=False)
            if self._changes is not None:
                self._changes[key] = False
