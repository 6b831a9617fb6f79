"""Blocks of prompts: who shares them, and how many there are at most."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.blocks import chain_bytes, token_bytes
from engines.watch.kv import BlockStored, Cache, pack
from extproc.counting.counted import Counted
from extproc.filters.prefix import BLOCK_BYTES, MOST_BLOCKS, Prefix, Prefixing
from extproc.filters.salt import Salt
from extproc.request import Identity, Kind, Model, Operation, Prompt
from tests.extproc.requests import BARE

ACME = Identity("acme", "k1")
LONG = "All work and no play makes Jack a dull boy. " * 200


def request(kind=Kind.CHAT, *, who=ACME, name="m", served_as="org/m", salt=None, **document):
    made = BARE.having(Operation(kind)).having(who).having(Model(name, "p", served_as))
    made = made.having(Prompt(document or {"messages": [{"role": "user", "content": LONG}]}, name))
    return made.having(Salt(salt)) if salt is not None else made


async def cut(given, filter_=None):
    return (await (filter_ or Prefixing()).decide(given)).fact(Prefix)


async def test_a_prompt_in_blocks():
    found = await cut(request())
    assert len(found.blocks) == len(LONG) // BLOCK_BYTES
    assert (found.block_tokens, found.is_exact) == (64, False)
    assert found.prompt_tokens == pytest.approx(len(LONG) / 4, abs=5)


async def test_counted_tokens_are_taken():
    assert (await cut(request().having(Counted(77)))).prompt_tokens == 77


async def test_a_conversation_that_goes_on_begins_with_the_same_blocks():
    turns = [{"role": "user", "content": LONG}, {"role": "assistant", "content": "Indeed."}]
    first = await cut(request(messages=turns[:1]))
    second = await cut(request(messages=[*turns, {"role": "user", "content": LONG}]))
    assert second.blocks[: len(first.blocks)] == first.blocks
    assert len(second.blocks) >= 2 * len(first.blocks)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ({}, {}, True),
        ({}, {"who": Identity("acme", "k2")}, True),
        ({}, {"who": Identity("rival", "k1")}, False),
        ({"salt": "s"}, {"salt": "s", "who": Identity("rival", "k1")}, True),
        ({"salt": "s"}, {"salt": "t"}, False),
        ({"salt": ""}, {"salt": "", "who": Identity("rival", "k1")}, True),
        ({}, {"name": "alias", "served_as": "org/m"}, True),
        ({"name": "lora"}, {}, False),
        ({"name": "lora", "served_as": "a"}, {"name": "lora", "served_as": "b"}, False),
        ({"name": "lora", "served_as": "a"}, {"name": "lora", "served_as": "a"}, True),
    ],
)
async def test_who_shares_blocks(one, other, shared):
    given = [await cut(request(**each), Prefixing(["lora"])) for each in (one, other)]
    assert (given[0].blocks == given[1].blocks) is shared
    assert shared or not set(given[0].blocks) & set(given[1].blocks)


@pytest.mark.parametrize("kind", [Kind.EMBEDDINGS, Kind.COUNT_TOKENS])
async def test_what_no_engine_caches_has_no_blocks(kind):
    found = await cut(request(kind, input=LONG).having(Counted(5)))
    assert (list(found.blocks), found.prompt_tokens) == ([], 5)
    assert (await cut(request(kind, input=LONG))).prompt_tokens == 0


async def test_work_is_bounded():
    found = await cut(request(Kind.COMPLETIONS, prompt="x" * (BLOCK_BYTES * MOST_BLOCKS * 2)))
    assert len(found.blocks) == MOST_BLOCKS


async def test_token_ids_as_the_engine_cuts_them():
    asked = []

    async def ids(kind, document):
        asked.append(kind)
        return token_bytes(range(100)) if document["messages"] else None

    exact = Prefixing(token_ids={"m": ids}, block_tokens=lambda _pool: 16)
    found = await cut(request(salt="s"), exact)
    assert found.blocks == chain_bytes("s", token_bytes(range(96)), 64)
    assert (found.block_tokens, found.prompt_tokens, found.is_exact) == (16, 100, True)
    assert not (await cut(request(name="other"), exact)).is_exact
    assert not (await cut(request(messages=[]), exact)).is_exact
    unknown = Prefixing(token_ids={"m": ids})
    assert not (await cut(request(), unknown)).is_exact
    assert asked == [Kind.CHAT] * 2, "before an engine has said how it cuts, nobody counts"


@pytest.mark.parametrize("adapter", ["", "lora-7"])
async def test_an_engine_that_tells_of_its_cache_tells_of_the_same_blocks(adapter):
    """The watch process hashes what KV events say, this what a prompt begins with."""
    tokens = list(range(70))
    cache = Cache()
    keys = [
        [adapter, "salt"] if adapter else ["salt"],
        *([[adapter]] * 3 if adapter else [None] * 3),
    ]
    raw = [each and [msgspec.Raw(msgspec.msgpack.encode(word)) for word in each] for each in keys]
    event = BlockStored([11, 12, 13, 14], None, tokens[:64], 16, adapter or None, "GPU", raw)
    cache.apply(pack([event]))

    async def ids(_kind, _document):
        return token_bytes(tokens)

    exact = Prefixing(["m"] if adapter else [], {"m": ids}, lambda _pool: 16)
    found = await cut(request(salt="salt", served_as=adapter or "org/m"), exact)
    assert found.blocks == list(cache.take().stored)
    assert len(found.blocks) == 4


async def test_token_ids_are_bounded_as_well():
    async def ids(_kind, _document):
        return token_bytes(range(200_000))

    exact = Prefixing(token_ids={"m": ids}, block_tokens=lambda _pool: 16)
    found = await cut(request(), exact)
    assert len(found.blocks) == MOST_BLOCKS * 4
    assert found.prompt_tokens == 200_000


@given(st.dictionaries(st.text(max_size=5), st.text(), max_size=3))
async def test_any_document_gives_something(document):
    assert (await cut(request(Kind.COMPLETIONS, prompt="x", **document))).prompt_tokens >= 1
