"""What is in a cache, by recorded events of vLLM 0.32 (`kv_frames.json`) and by made up ones.

Recorded: a prompt; the same with the salt `tenant-a`, and a longer one with it; others, until the small
cache had to let the first ones go.
"""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.blocks import chain, chain_bytes, root, token_bytes
from engines.watch.kv import (
    AllBlocksCleared,
    BlockRemoved,
    BlockStored,
    Cache,
    Change,
    name_root,
    pack,
)

FRAMES = [
    bytes.fromhex(each["payload"])
    for each in json.loads((Path(__file__).parent / "kv_frames.json").read_text())
]
BLOCK = 4


def tokens_of(frame):
    """Token ids of the blocks stored in a recorded frame."""
    events = msgspec.msgpack.decode(FRAMES[frame])[1]
    return [token for event in events for token in event.get("token_ids", ())]


def chained(salt, tokens, block=BLOCK):
    return chain_bytes(salt, token_bytes(tokens), 4 * block)


def stored(hashes, tokens, parent=None, **more):
    return BlockStored(hashes, parent, [*tokens], BLOCK, medium="GPU", **more)


def raw(keys):
    """Extra keys as the decoder leaves them."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(keys), type=list[list[msgspec.Raw] | None])


def applied(*events, cache=None):
    cache = Cache() if cache is None else cache
    cache.apply(pack(events))
    return cache


def test_recorded_blocks_are_the_chain_of_their_prompts():
    cache = Cache()
    cache.apply(FRAMES[0])
    plain = chained("", tokens_of(0), 32)
    assert cache.take() == Change(stored=tuple(plain))
    cache.apply(FRAMES[1])
    assert tokens_of(1) == tokens_of(0)
    salted = chained("tenant-a", tokens_of(1), 32)
    assert cache.take() == Change(stored=tuple(salted))
    assert not set(salted) & set(plain), "two tenants share nothing"
    cache.apply(FRAMES[2])
    longer = chained("tenant-a", tokens_of(1) + tokens_of(2), 32)
    assert longer[:3] == salted
    assert cache.take() == Change(stored=tuple(longer[3:])), "its parent is of an earlier event"


def test_recorded_evictions_take_away_what_was_stored():
    cache = Cache()
    for frame in FRAMES:
        cache.apply(frame)
    gone = {*chained("", tokens_of(0), 32), *chained("tenant-a", tokens_of(1), 32)}
    assert not gone & set(cache.hashes())
    assert set(chained("", tokens_of(9), 32)) <= set(cache.hashes())
    change = cache.take()
    assert set(change.stored) == set(cache.hashes())
    assert gone <= set(change.removed)


def test_what_is_stored_and_removed_before_anybody_asks_is_told_once():
    cache = applied(stored([1, 2], range(8)), BlockRemoved([2], "GPU"))
    first, second = chained("", range(8))
    assert cache.take() == Change(removed=(second,), stored=(first,))
    assert cache.take() is None
    applied(BlockRemoved([1, 77]), stored([1], range(4)), cache=cache)
    assert cache.take() == Change(stored=(first,))


def test_all_blocks_cleared():
    cache = applied(stored([1], range(4)), AllBlocksCleared(), stored([5], range(4, 8)))
    assert cache.take() == Change(cleared=True, stored=tuple(chained("", range(4, 8))))
    cache.clear()
    assert (cache.take(), len(cache)) == (Change(cleared=True), 0)


def test_hashes_may_be_bytes():
    """vLLM publishes either (`VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES`)."""
    cache = applied(stored([b"\x01" * 32], range(4)), stored([b"\x02"], range(4), b"\x01" * 32))
    assert list(cache.hashes()) == chained("", [*range(4), *range(4)])


def test_events_as_lists_as_sglang_writes_them():
    cache = Cache()
    events = [
        ["BlockStored", [1, 2], None, [*range(8)], 4, None],
        ["BlockStored", [3], 2, [*range(4)], 4, None, "GPU", "more than we know"],
        ["BlockStored", [4], None, [*range(4)], 4, 7],
        ["BlockRemoved", [3]],
    ]
    cache.apply(msgspec.msgpack.encode([1.5, events]))
    assert list(cache.hashes()) == chained("", range(8)), "an adapter without a name is left out"
    cache.apply(msgspec.msgpack.encode([1.5, [["AllBlocksCleared"]], 0]))
    assert len(cache) == 0


@pytest.mark.parametrize(
    "unusable",
    [
        stored([9], range(4), parent=1234),
        BlockStored([9], None, [1, 2, 3, 4], BLOCK, medium="CPU"),
        stored([9], range(4), group_idx=1),
        stored([9], range(4), extra_keys=raw([[["image", 0]]])),
        stored([9], range(4), extra_keys=raw([[["image", 0], "salt"]])),
        stored([9], range(4), extra_keys=raw([["salt", b"embedding"]])),
    ],
)
def test_blocks_without_a_hash_of_ours_are_left_out_with_all_behind_them(unusable):
    cache = applied(unusable, stored([10], range(4), parent=9))
    assert (len(cache), cache.take()) == (0, None)


def test_behind_an_image_nothing_is_known():
    keys = raw([None, [["image", 0]], None])
    cache = applied(stored([1, 2, 3], range(12), extra_keys=keys))
    assert list(cache.hashes()) == chained("", range(4))


def test_adapters_and_salts_have_chains_of_their_own():
    keys = raw([["lora-1", "salt"], ["lora-1"]])
    cache = applied(stored([1, 2], range(8), extra_keys=keys, lora_name="lora-1"))
    assert list(cache.hashes()) == chained(name_root("salt", "lora-1"), range(8))
    assert name_root("salt", "") == "salt"
    named_alike = applied(stored([1], range(4), extra_keys=raw([["salt"]])))
    assert list(named_alike.hashes()) == [chain(root("salt"), token_bytes(range(4)))]


def test_more_than_is_kept_pushes_the_oldest_out():
    cache = Cache(most=3)
    applied(stored([1, 2, 3, 4, 5], range(20)), cache=cache)
    assert list(cache.hashes()) == chained("", range(20))[2:]
    change = cache.take()
    assert change.stored == tuple(chained("", range(20))[2:])
    assert change.removed == tuple(chained("", range(20))[:2])


@pytest.mark.parametrize("payload", [b"", b"\xc0", b"\x93", msgspec.msgpack.encode([1.0, [{}], 0])])
def test_what_makes_no_sense_is_refused(payload):
    with pytest.raises(msgspec.MsgspecError):
        Cache().apply(payload)


EVENTS = st.one_of(
    st.builds(
        lambda first, length, parent: stored(
            [*range(first, first + length)], [*range(4 * length)], parent
        ),
        st.integers(0, 20),
        st.integers(1, 4),
        st.none() | st.integers(0, 20),
    ),
    st.builds(BlockRemoved, st.lists(st.integers(0, 24), max_size=4)),
    st.just(AllBlocksCleared()),
)


@given(st.lists(st.lists(EVENTS, max_size=4), max_size=8), st.data())
def test_who_follows_the_changes_knows_what_the_cache_holds(batches, data):
    """However often somebody asks. Two blocks of an engine may be one of ours: what one of them loses
    the other has still, and a follower may miss it, but never believe too much."""
    cache, known = Cache(most=12), set()
    for batch in batches:
        cache.apply(pack(batch))
        if data.draw(st.booleans()):
            follow(cache.take(), known)
            assert known <= set(cache.hashes())
    follow(cache.take(), known)
    assert known <= set(cache.hashes())


def follow(change, known):
    if change:
        if change.cleared:
            known.clear()
        known.difference_update(change.removed)
        known.update(change.stored)


def test_a_block_that_an_engine_has_twice_is_there_until_both_are_gone():
    cache, (ours,) = Cache(), chained("", range(4))
    cache.apply(pack([BlockStored([each], None, [*range(4)], 4) for each in (1, 2)]))
    cache.apply(pack([BlockRemoved([1])]))
    assert ours in cache
    assert cache.take().removed == ()
    cache.apply(pack([BlockRemoved([2])]))
    assert ours not in cache
    assert cache.take().removed == (ours,)
