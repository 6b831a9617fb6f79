"""Whose answers are copied on their way."""

import pytest

from extproc.cache.fill import STREAM_FACTOR
from extproc.cache.keeper import Keeper
from extproc.cache.rules import CacheRule
from extproc.filters.collect import Collect, Filling, Looked
from extproc.request import Kind, Operation, Prompt
from extproc.stores.cache_memory import MemoryAnswers
from extproc.stores.memory import MemoryCacheMeter
from tests.extproc.requests import BARE


def asked(*, stream=False):
    return BARE.having(Operation(Kind.CHAT)).having(Prompt({}, "m", stream=stream))


@pytest.fixture
def keeper():
    return Keeper(MemoryAnswers(), MemoryCacheMeter())


async def test_nothing_is_decided(keeper):
    assert await Collect(keeper).decide(asked()) == asked()


@pytest.mark.parametrize("request_", [asked(), asked().having(Looked("bypass; reason=tools"))])
def test_who_did_not_miss_is_left_alone(keeper, request_):
    assert Collect(keeper).transform(request_) is None


@pytest.mark.parametrize("stream", [True, False])
def test_what_is_kept_of_a_miss(keeper, stream):
    rule = CacheRule(ttl_s=5, stale_if_error_s=7, most_bytes=10)
    request = asked(stream=stream).having(Looked("miss", Filling("p:k", rule)))
    long = b"x" * (10 * STREAM_FACTOR if stream else 10)
    for data, kept in ((long, True), (long + b"x", False)):
        transform = Collect(keeper).transform(request)
        assert transform.feed(data) + transform.finish() == data
        assert keeper._waiting.empty() is not kept
        if kept:
            whole = keeper._waiting.get_nowait()
            assert (whole.key, whole.ttl_s, whole.keep_s, whole.body) == ("p:k", 5, 12, long)
