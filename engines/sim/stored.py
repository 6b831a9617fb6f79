"""What KV events say of the cache: blocks by hash, with the token ids they stand for."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import msgspec

from engines.sim.cache import chained
from engines.sim.tokens import pieces, token_id


class BlockStored(msgspec.Struct, tag=True, frozen=True, omit_defaults=True):
    """A run of blocks, each the parent of the next. Members and their order are vLLM's."""

    block_hashes: list[int]
    parent_block_hash: int | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None
    medium: str | None
    lora_name: str | None
    extra_keys: list[tuple[str, ...] | None] | None = None
    group_idx: int | None = None
    kv_cache_spec_kind: str | None = None


class BlockRemoved(msgspec.Struct, tag=True, frozen=True, omit_defaults=True):
    """Blocks that are gone."""

    block_hashes: list[int]
    medium: str | None
    group_idx: int | None = None


class AllBlocksCleared(msgspec.Struct, tag=True, frozen=True):
    """Everything is gone."""


CacheEvent = BlockStored | BlockRemoved | AllBlocksCleared


class _Block(msgspec.Struct, frozen=True):
    parent: int | None
    text: str
    salt: str
    adapter: str


class Stored:
    """Remembers what blocks stand for: the latest `most`, which should be several caches full."""

    def __init__(self, block_tokens: int, most: int) -> None:
        self._block_tokens = block_tokens
        self._most = most
        self._blocks: OrderedDict[int, _Block] = OrderedDict()

    def note(self, first: int, blocks: Sequence[str], salt: str, adapter: str) -> None:
        """Blocks that follow `first`, which is another block or, unknown here, the beginning."""
        parent = first if first in self._blocks else None
        if parent is not None:
            salt, adapter = "", self._blocks[parent].adapter
        for key, text in zip(chained(first, blocks), blocks, strict=True):
            if key not in self._blocks:
                # As in vLLM the salt is said with the first block of a prompt alone.
                told = salt if parent is None else ""
                self._blocks[key] = _Block(parent, text, told.rpartition("\0")[2], adapter)
            self._blocks.move_to_end(key)
            parent = key
        while len(self._blocks) > self._most:
            self._blocks.popitem(last=False)

    def events(self, stored: Sequence[int], removed: Sequence[int]) -> list[CacheEvent]:
        """Write changes of the cache as vLLM does."""
        events = list[CacheEvent](self._runs(stored))
        if removed:
            events.append(BlockRemoved(list(removed), "GPU", 0))
        return events

    def _runs(self, stored: Sequence[int]) -> Iterator[BlockStored]:
        run: list[int] = []
        for key in stored:
            block = self._blocks.get(key)
            if block is None:
                continue
            if run and block.parent != run[-1]:
                yield self._event(run)
                run = []
            run.append(key)
        if run:
            yield self._event(run)

    def _event(self, run: list[int]) -> BlockStored:
        blocks = [self._blocks[key] for key in run]
        extra = [_extra(block) for block in blocks]
        return BlockStored(
            block_hashes=run,
            parent_block_hash=blocks[0].parent,
            token_ids=[token_id(piece) for block in blocks for piece in pieces(block.text)],
            block_size=self._block_tokens,
            lora_id=1 if blocks[0].adapter else None,
            medium="GPU",
            lora_name=blocks[0].adapter or None,
            extra_keys=extra if any(extra) else None,
            group_idx=0,
            kv_cache_spec_kind="full_attention",
        )


def _extra(block: _Block) -> tuple[str, ...] | None:
    """What besides the tokens a block's hash depends on."""
    return tuple(filter(None, (block.adapter, block.salt))) or None
