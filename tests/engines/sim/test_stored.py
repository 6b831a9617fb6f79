import msgspec

from engines.blocks import root
from engines.sim.cache import chained
from engines.sim.stored import BlockRemoved, BlockStored, Stored
from engines.sim.tokens import token_id
from engines.sim.validate import block_hashes
from engines.watch.kv import Cache, name_root

BLOCKS = (" a b", " c d", " e f")
KEYS = chained(root("tenant"), BLOCKS)


def noted(adapter: str = "", most: int = 100) -> Stored:
    stored = Stored(2, most)
    stored.note(root("tenant"), BLOCKS, "tenant", adapter)
    return stored


def ids(text: str) -> list[int]:
    return [token_id(f" {word}") for word in text.split()]


def test_blocks_that_follow_each_other_are_one_event():
    [event] = noted().events(KEYS, [])
    assert event == BlockStored(
        block_hashes=KEYS,
        parent_block_hash=None,
        token_ids=ids("a b c d e f"),
        block_size=2,
        lora_id=None,
        medium="GPU",
        lora_name=None,
        extra_keys=[("tenant",), None, None],
        group_idx=0,
        kv_cache_spec_kind="full_attention",
    )


def test_a_block_knows_its_parent_though_it_came_before():
    [event] = noted().events(KEYS[1:], [])
    assert isinstance(event, BlockStored)
    assert (event.parent_block_hash, event.token_ids) == (KEYS[0], ids("c d e f"))
    assert event.extra_keys is None


def test_what_does_not_follow_is_another_event():
    events = noted().events([KEYS[0], KEYS[2]], [KEYS[1]])
    assert [type(event) for event in events] == [BlockStored, BlockStored, BlockRemoved]


def test_an_answer_follows_its_prompt():
    stored = noted()
    stored.note(KEYS[-1], (" g h",), "", "")
    [event] = stored.events(chained(KEYS[-1], (" g h",)), [])
    assert isinstance(event, BlockStored)
    assert event.parent_block_hash == KEYS[-1]


def test_an_adapter_is_named_with_every_block():
    [event] = noted("red").events(KEYS, [])
    assert isinstance(event, BlockStored)
    assert (event.lora_name, event.lora_id) == ("red", 1)
    assert event.extra_keys == [("red", "tenant"), ("red",), ("red",)]


def test_only_so_many_are_remembered():
    [event] = noted(most=1).events(KEYS, [])
    assert isinstance(event, BlockStored)
    assert event.block_hashes == KEYS[-1:]


def test_on_the_wire_events_are_maps_with_vllms_members_in_its_order():
    [event] = noted().events(KEYS, [])
    told = msgspec.msgpack.decode(msgspec.msgpack.encode(event))
    assert list(told) == [
        *("type", "block_hashes", "parent_block_hash", "token_ids", "block_size", "lora_id"),
        *("medium", "lora_name", "extra_keys", "group_idx", "kv_cache_spec_kind"),
    ]
    assert told["type"] == "BlockStored"
    [event] = noted().events([], KEYS[:1])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event)) == {
        "type": "BlockRemoved",
        "block_hashes": KEYS[:1],
        "medium": "GPU",
        "group_idx": 0,
    }


def test_the_watch_finds_in_them_what_prompts_are_looked_up_by():
    stored, cache = noted(), Cache()
    cache.apply(msgspec.msgpack.encode([0.0, stored.events(KEYS[:2], []), 0]))
    cache.apply(msgspec.msgpack.encode([1.0, stored.events(KEYS[2:], []), 0]))
    expected = block_hashes(ids("a b c d e f"), 2, name_root("tenant", ""))
    assert list(cache.hashes()) == list(expected)
    cache.apply(msgspec.msgpack.encode([2.0, stored.events([], KEYS[1:]), 0]))
    assert list(cache.hashes()) == list(expected[:1])
