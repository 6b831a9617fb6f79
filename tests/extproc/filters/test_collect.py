"""Whose answers are copied on their way."""

import pytest

from extproc.cache.fill import STREAM_FACTOR
from extproc.cache.keeper import Keeper
from extproc.cache.rules import CacheRule
from extproc.filters.collect import Collect, Filling, Looked
from extproc.request import Alternative, Kind, Model, Operation, Prompt, Tries
from extproc.stores.cache_memory import MemoryAnswers
from extproc.stores.memory import MemoryCacheMeter
from tests.extproc.cache.answers import body
from tests.extproc.large import watch_prompt
from tests.extproc.requests import BARE

BIG, SMALL = Model("big", "p", "org/big"), Model("small", "q", "org/big-small")


def asked(*, stream=False):
    return BARE.having(Operation(Kind.CHAT)).having(Prompt({}, "m", stream=stream)).having(BIG)


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


@pytest.mark.parametrize(
    ("model", "is_kept"),
    [
        ("org/big", True),
        ("org/big-2026-01-01", True),  # services elsewhere name what an alias stands for today
        ("org/big-small", False),
        ("org/big-small-2026-01-01", False),
        ("other", False),
    ],
)
async def test_what_another_model_answered_in_its_place_is_not_kept(model, is_kept):
    answers, meter = MemoryAnswers(), MemoryCacheMeter()
    keeper = Keeper(answers, meter)
    request = asked().having(Looked("miss", Filling("p:k", CacheRule())))
    tries = Tries("big", b"", (Alternative(SMALL, b""),), may_resend=True)
    raw = body(head={"model": model})
    for each, kept in ((request.having(tries), is_kept), (request, True)):
        transform = Collect(keeper).transform(each)
        assert transform.feed(raw) + transform.finish() == raw
        await keeper.keep(keeper._waiting.get_nowait())
        assert meter.answers.pop() == ("kept" if kept else "unfit")


def test_a_prompt_is_let_go_before_its_answer_is_kept(keeper):
    request, is_held = watch_prompt(asked().having(Looked("miss", Filling("p:k", CacheRule()))))
    transform = Collect(keeper).transform(request)
    del request
    assert not is_held()
    transform.feed(b"x")
    transform.finish()
    assert keeper._waiting.get_nowait().body == b"x"
