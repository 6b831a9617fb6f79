"""What is in an engine's KV cache, as its events tell (vLLM's format, over ZMQ). Pure.

An engine tells of blocks by hashes of its own, each with its tokens and its parent. Ours are made of the
same tokens (`engines.blocks`), so that a worker can tell for a prompt, before it is sent, where its blocks
are. A block whose parent we do not know, or which holds more than tokens, has no hash of ours and is
left out.

Source: vllm/distributed/kv_events.py (0.32).
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import islice

import msgspec

from engines.blocks import chain, root, token_bytes

MOST_BLOCKS = 200_000
"""Kept of one endpoint: 34 MB. At 16 tokens a block, 3.2 million tokens; an H100 with an 8B model has
about half a million. Beyond it the oldest are forgotten."""
FIXED_ARRAY = 0x90
"""First byte of a list of up to 15 members (msgpack specification)."""
GPU = "GPU"
"""Other media (host memory, disks) have to be fetched from first."""


class Event(msgspec.Struct, frozen=True, tag=True):
    """One change. Members that nobody needs here are left unread."""


class BlockStored(Event, frozen=True):
    block_hashes: list[int | bytes]
    parent_block_hash: int | bytes | None
    token_ids: list[int]
    block_size: int
    lora_name: str | None = None
    medium: str | None = None
    extra_keys: list[list[msgspec.Raw] | None] | None = None
    group_idx: int | None = None


class BlockRemoved(Event, frozen=True):
    block_hashes: list[int | bytes]
    medium: str | None = None
    group_idx: int | None = None


class AllBlocksCleared(Event, frozen=True):
    """Nothing is left."""


class Listed(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The same as lists, as SGLang and older vLLMs write them. They say nothing of salts, so blocks
    with one are known by a hash that nobody asks for."""


class ListedStored(Listed, frozen=True, tag="BlockStored"):
    block_hashes: list[int | bytes]
    parent_block_hash: int | bytes | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None = None
    medium: str | None = None


class ListedRemoved(Listed, frozen=True, tag="BlockRemoved"):
    block_hashes: list[int | bytes]
    medium: str | None = None


class ListedCleared(Listed, frozen=True, tag="AllBlocksCleared"):
    """Nothing is left."""


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """What came at once."""

    at_s: float
    events: list[msgspec.Raw]


Named = BlockStored | BlockRemoved | AllBlocksCleared
DECODER = msgspec.msgpack.Decoder(Batch)
NAMED: msgspec.msgpack.Decoder[Named] = msgspec.msgpack.Decoder(Named)
LISTED: msgspec.msgpack.Decoder[ListedStored | ListedRemoved | ListedCleared] = (
    msgspec.msgpack.Decoder(ListedStored | ListedRemoved | ListedCleared)
)
KEY = msgspec.msgpack.Decoder[object]()


class Change(msgspec.Struct, frozen=True):
    """What became of a cache, in hashes of ours: first cleared, then removed, then stored."""

    cleared: bool = False
    removed: Sequence[int] = ()
    stored: Sequence[int] = ()


class Cache:
    """What one engine has, and what of it has changed since it was last asked."""

    def __init__(self, most: int = MOST_BLOCKS) -> None:
        self._most = most
        self._ours: dict[int | bytes, int] = {}
        """By its own hash; oldest first."""
        self._held: dict[int, int] = {}
        """How many of its own hashes each of ours stands for."""
        self._cleared = False
        self._removed: dict[int, None] = {}
        self._stored: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._ours)

    def __contains__(self, ours: int) -> bool:
        return ours in self._held

    def hashes(self) -> Collection[int]:
        """All there is."""
        return self._ours.values()

    def clear(self) -> None:
        """It has nothing, or nothing is known of it any more."""
        self._ours.clear()
        self._held.clear()
        self._removed.clear()
        self._stored.clear()
        self._cleared = True

    def apply(self, payload: bytes) -> None:
        """Follow one batch: 4 us for a block, 0.6 ms for 256. Raises: msgspec.MsgspecError when it makes no sense."""
        for raw in DECODER.decode(payload).events:
            match read_event(bytes(raw)):
                case AllBlocksCleared():
                    self.clear()
                case BlockRemoved() as event:
                    self._lose(self._remove(event))
                case BlockStored() as event:
                    for new in self._store(event):
                        self._removed.pop(new, None)
                        self._stored[new] = None
        self._lose(self._bound())

    def take(self) -> Change | None:
        """Say what has changed since the last time; None is nothing."""
        if not (self._cleared or self._removed or self._stored):
            return None
        change = Change(self._cleared, tuple(self._removed), tuple(self._stored))
        self._cleared = False
        self._removed.clear()
        self._stored.clear()
        return change

    def _lose(self, hashes: Iterable[int]) -> None:
        for gone in hashes:
            self._stored.pop(gone, None)
            self._removed[gone] = None

    def _store(self, event: BlockStored) -> Iterable[int]:
        if event.medium not in (None, GPU) or event.group_idx:
            return
        parent = self._find_parent(event)
        keys = event.extra_keys or []
        for number, theirs in enumerate(event.block_hashes):
            named = keys[number] if number < len(keys) else None
            is_first = number == 0 and event.parent_block_hash is None
            if parent is None or holds_more(named, event.lora_name, is_first=is_first):
                return
            start = number * event.block_size
            tokens = event.token_ids[start : start + event.block_size]
            parent = chain(parent, token_bytes(tokens))
            before = self._ours.get(theirs)
            if before != parent:
                self._ours[theirs] = parent
                self._held[parent] = self._held.get(parent, 0) + 1
                if before is not None:
                    self._lose(self._let_go(before))  # nobody does that
            yield parent

    def _find_parent(self, event: BlockStored) -> int | None:
        if event.parent_block_hash is not None:
            return self._ours.get(event.parent_block_hash)
        first = event.extra_keys[0] if event.extra_keys else None
        return root(name_root(find_salt(first, event.lora_name), event.lora_name or ""))

    def _remove(self, event: BlockRemoved) -> Iterable[int]:
        if event.medium not in (None, GPU) or event.group_idx:
            return
        for theirs in event.block_hashes:
            if (ours := self._ours.pop(theirs, None)) is not None:
                yield from self._let_go(ours)

    def _bound(self) -> Iterable[int]:
        surplus = len(self._ours) - self._most
        if surplus > 0:
            for theirs in list(islice(self._ours, surplus)):
                yield from self._let_go(self._ours.pop(theirs))

    def _let_go(self, ours: int) -> Iterable[int]:
        """It has one hash less for this; the last one takes it away."""
        left = self._held.pop(ours) - 1
        if left:
            self._held[ours] = left
        else:
            yield ours


def read_event(raw: bytes) -> Named:
    """Read one in either form. Raises: msgspec.MsgspecError."""
    if raw[0] & 0xF0 != FIXED_ARRAY:
        return NAMED.decode(raw)
    match LISTED.decode(raw):
        case ListedStored() as listed:
            # Of an adapter only a number is known, and no prompt has that.
            medium = "adapter" if listed.lora_id is not None else listed.medium
            return BlockStored(
                listed.block_hashes,
                listed.parent_block_hash,
                listed.token_ids,
                listed.block_size,
                medium=medium,
            )
        case ListedRemoved(block_hashes, medium):
            return BlockRemoved(block_hashes, medium)
        case ListedCleared():
            return AllBlocksCleared()


def name_root(salt: str, adapter: str) -> str:
    """Name what a chain begins with, as workers do (`extproc.filters.prefix`)."""
    return f"{salt}\0{adapter}" if adapter else salt


def words(keys: list[msgspec.Raw] | None, lora_name: str | None) -> list[object]:
    """Read a block's extra keys: the adapter's name, if it has one, stands first and is left out."""
    found = [KEY.decode(each) for each in keys or ()]
    return found[1:] if lora_name is not None and found[:1] == [lora_name] else found


def find_salt(keys: list[msgspec.Raw] | None, lora_name: str | None) -> str:
    """Find the `cache_salt`: of the first block alone, a string behind those of images, which are
    pairs."""
    return next((word for word in words(keys, lora_name) if isinstance(word, str)), "")


def holds_more(keys: list[msgspec.Raw] | None, lora_name: str | None, *, is_first: bool) -> bool:
    """Whether a block is more than its tokens and its salt: images, embeddings."""
    found = words(keys, lora_name)
    salts = 1 if is_first and any(isinstance(word, str) for word in found) else 0
    return len(found) > salts


def pack(events: Iterable[Event], at_s: float = 0.0) -> bytes:
    """Write a batch as an engine would. For whoever plays one."""
    return msgspec.msgpack.encode([at_s, list(events), 0])
