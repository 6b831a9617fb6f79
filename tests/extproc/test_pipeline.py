"""Order, and what becomes of decisions and faults."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.decision import Deny, Outcome, Reply, Wait
from extproc.errors import PolicyError, Reason
from extproc.filter import AnswerMode, BodyTransform, Filter
from extproc.pipeline import Pipeline, check_order
from extproc.request import Body, Fact, Identity, Model, Operation, Prompt
from extproc.stores.memory import MemoryMeter
from tests.extproc.requests import BARE

FACTS = {
    Operation: Operation("chat"),
    Identity: Identity("acme", "key-1"),
    Prompt: Prompt({}, "m"),
    Model: Model("m", "p", "m"),
}


class Step(Filter):
    """Adds what it `provides`, or does as `outcome` says; notes in `seen` that it ran."""

    def __init__(self, name, *, needs=(), provides=(), seen=None, outcome=None, **changes):
        self.name = name
        self.needs, self.provides = frozenset(needs), frozenset(provides)
        self.seen = [] if seen is None else seen
        self.outcome = outcome
        self.on_fault = changes.get("on_fault", "deny")
        self.mode = changes.get("answer", AnswerMode.NONE)
        self.rewrite = changes.get("rewrite")

    async def decide(self, request):
        self.seen.append(self.name)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        if self.outcome is not None:
            return self.outcome
        for kind in self.provides:
            request = request.having(FACTS[kind])
        return request

    def wish(self, request):
        return self.mode

    def transform(self, request):
        return self.rewrite

    async def settle(self, outcome):
        self.seen.append(self.name)
        if isinstance(self.outcome, BaseException):
            raise self.outcome


class Bare(Filter):
    """Only `decide`: everything else is the protocol's default."""

    name = "bare"

    async def decide(self, request):
        return request


def build(*filters):
    meter = MemoryMeter()
    return Pipeline(filters, "v1", meter), meter


async def judge(pipeline, raw=b""):
    judged = await pipeline.judge_head(BARE)
    return judged if judged.stop else await pipeline.judge_body(judged.request.having(Body(raw)))


def test_the_order_is_checked_when_the_policy_loads():
    with pytest.raises(PolicyError, match="filter 'b' stands before what it needs: Identity"):
        build(Step("b", needs={Identity}), Step("a", provides={Identity}))


def test_every_missing_fact_is_named():
    with pytest.raises(PolicyError, match="Identity, Operation, Prompt"):
        check_order([Step("b", needs={Prompt, Operation, Identity})])


def test_a_filter_cannot_need_what_only_it_provides():
    with pytest.raises(PolicyError):
        check_order([Step("a", needs={Model}, provides={Model})])


def test_one_that_may_be_skipped_provides_nothing():
    skippable = Step("a", provides={Identity}, on_fault="continue")
    with pytest.raises(PolicyError, match="'b' stands before what it needs: Identity"):
        check_order([skippable, Step("b", needs={Identity})])


def test_the_body_is_there_for_all_who_need_it():
    check_order([Step("a", needs={Body}), Step("b", needs={Body})])


async def test_what_needs_the_body_and_all_after_it_wait_for_it():
    seen = []
    pipeline, _ = build(
        Step("early", seen=seen),
        Step("late", needs={Body}, seen=seen),
        Step("later", seen=seen),
    )
    judged = await pipeline.judge_head(BARE)
    assert (judged.stop, seen) == (None, ["early"])
    await pipeline.judge_body(judged.request.having(Body(b"")))
    assert seen == ["early", "late", "later"]


async def test_without_need_of_the_body_all_run_at_the_head():
    seen = []
    pipeline, _ = build(Step("a", seen=seen), Step("b", seen=seen))
    await pipeline.judge_head(BARE)
    assert seen == ["a", "b"]
    await pipeline.judge_body(BARE.having(Body(b"")))
    assert seen == ["a", "b"]


async def test_an_empty_pipeline_lets_everything_pass():
    pipeline, _ = build()
    judged = await judge(pipeline)
    assert judged.stop is None
    assert pipeline.wish(BARE) is AnswerMode.NONE
    assert pipeline.transforms(BARE) == []
    await pipeline.settle(Outcome({}, 200, 1, ()))


@pytest.mark.parametrize("stop", [Deny(Reason.METHOD, "no"), Reply(b"{}")])
async def test_a_stop_ends_the_run_and_keeps_what_was_found(stop):
    seen = []
    pipeline, meter = build(
        Step("a", provides={Identity}, seen=seen),
        Step("b", provides={Model}, seen=seen, outcome=stop),
        Step("c", seen=seen),
    )
    judged = await judge(pipeline)
    assert judged.stop is stop
    assert judged.request.fact(Identity) == FACTS[Identity]
    assert judged.request.find(Model) is None
    assert seen == ["a", "b"]
    assert not meter.faults


async def test_a_fault_is_a_refusal_that_does_not_say_why(caplog):
    pipeline, meter = build(Step("guard", outcome=ValueError("sk-secret")), Step("after"))
    judged = await judge(pipeline)
    assert judged.stop.reason is Reason.FAULT
    assert judged.stop.param is None
    assert "sk-secret" not in judged.stop.message
    assert meter.faults == {"guard": 1}
    (record,) = caplog.records
    assert (record.message, record.levelno) == ("filter_fault", logging.ERROR)
    assert (record.filter, record.request_id) == ("guard", "r1")
    assert record.exc_info, "the operator needs the traceback"


async def test_a_fault_in_one_that_may_be_skipped_changes_nothing():
    seen = []
    pipeline, meter = build(
        Step("a", provides={Identity}, seen=seen),
        Step("b", seen=seen, outcome=OSError(28, "full"), on_fault="continue"),
        Step("c", needs={Identity}, seen=seen),
    )
    judged = await judge(pipeline)
    assert judged.stop is None
    assert set(judged.request.facts) == {Identity, Body}
    assert seen == ["a", "b", "c"]
    assert meter.faults == {"b": 1}


async def test_a_refusal_by_one_that_may_be_skipped_is_no_fault():
    deny = Deny(Reason.METHOD, "no")
    pipeline, meter = build(Step("a", outcome=deny, on_fault="continue"))
    assert (await judge(pipeline)).stop is deny
    assert not meter.faults


@pytest.mark.parametrize("on_fault", ["deny", "continue"])
async def test_being_cancelled_is_no_fault(on_fault):
    pipeline, meter = build(Step("a", outcome=asyncio.CancelledError(), on_fault=on_fault))
    with pytest.raises(asyncio.CancelledError):
        await pipeline.judge_head(BARE)
    assert not meter.faults


@pytest.mark.parametrize(
    ("modes", "needed"),
    [
        ((), AnswerMode.NONE),
        ((AnswerMode.STREAMED, AnswerMode.NONE), AnswerMode.STREAMED),
        ((AnswerMode.STREAMED, AnswerMode.DUPLEX, AnswerMode.NONE), AnswerMode.DUPLEX),
    ],
)
def test_the_answer_is_shown_as_far_as_the_neediest_filter_asks(modes, needed):
    pipeline, _ = build(*(Step(f"f{i}", answer=mode) for i, mode in enumerate(modes)))
    assert pipeline.wish(BARE) is needed


def waiting(*decisions):
    """Waits that follow each other; the last decision stands at the end."""
    first, *rest = decisions

    async def decide():
        if isinstance(first, BaseException):
            raise first
        return first

    if not rest:
        return Wait(2.5, decide)

    async def again():
        return waiting(*rest)

    return Wait(1.5, again)


async def test_a_filter_may_wait_and_the_rest_goes_on_behind_it():
    seen = []
    found = BARE.having(FACTS[Identity])
    pipeline, _ = build(
        Step("a", seen=seen),
        Step("b", seen=seen, outcome=waiting(None, found)),
        Step("c", seen=seen),
    )
    judged = await pipeline.judge_head(BARE)
    assert (judged.stop.most_s, seen) == (1.5, ["a", "b"])
    judged = await judged.stop.go_on()
    assert (judged.stop.most_s, seen) == (2.5, ["a", "b"])
    judged = await judged.stop.go_on()
    assert (judged.stop, judged.request, seen) == (None, found, ["a", "b", "c"])


@pytest.mark.parametrize("on_fault", ["deny", "continue"])
async def test_a_wait_may_end_in_a_refusal_or_in_a_fault(on_fault):
    no = Deny(Reason.METHOD, "no")
    pipeline, meter = build(Step("a", outcome=waiting(no)))
    judged = await (await pipeline.judge_head(BARE)).stop.go_on()
    assert (judged.stop, meter.faults) == (no, {})
    broken = Step("a", outcome=waiting(ZeroDivisionError()), on_fault=on_fault)
    pipeline, meter = build(broken)
    judged = await (await pipeline.judge_head(BARE)).stop.go_on()
    assert meter.faults == {"a": 1}
    assert judged.outcome == ("forward" if on_fault == "continue" else "fault")


async def test_those_who_want_to_know_are_told_that_a_request_still_runs():
    class Renewed(Step):
        async def renew(self, outcome):
            await self.settle(outcome)

    seen = []
    pipeline, meter = build(
        Renewed("a", seen=seen, outcome=ZeroDivisionError()), Renewed("b", seen=seen), Step("c")
    )
    await pipeline.renew(Outcome({}, 0, 1, (), running=True))
    assert (seen, meter.faults) == (["a", "b"], {"a": 1})


def test_transforms_come_in_the_order_of_the_filters():
    one, two = object(), object()
    pipeline, _ = build(Step("a", rewrite=one), Bare(), Step("b", rewrite=two))
    assert pipeline.transforms(BARE) == [one, two]


class Mark(BodyTransform):
    """Puts a mark behind each feed; the last one it has to wait for."""

    def __init__(self, mark, *, waits=False):
        self.mark, self.waits, self.late = mark, waits, b""

    def feed(self, chunk):
        data, self.late = self.late + chunk + self.mark, b""
        return data if chunk else data[: -len(self.mark)]

    async def wait(self):
        self.waits, self.late = False, b"late"

    def finish(self):
        return b"."


async def test_a_reply_meets_the_filters_before_it():
    pipeline, _ = build(
        Step("a", rewrite=Mark(b"a")), Step("b", rewrite=Mark(b"b", waits=True)),
        Step("c", rewrite=Mark(b"c"), outcome=Reply(b"hit")), Step("d", rewrite=Mark(b"d")),
    )  # fmt: skip
    judged = await judge(pipeline)
    assert judged.stop.body == b"hita.blate."


async def test_a_reply_that_is_judged_when_it_is_all_there():
    class Held(Mark):
        def feed(self, chunk):
            self.late += chunk
            return b""

        async def wait(self):
            self.waits = False

        def finish(self):
            self.waits = not self.mark
            self.mark, data = b"judged", self.late if self.mark else b""
            return data

    pipeline, _ = build(Step("a", rewrite=Held(b"")), Step("b", outcome=Reply(b"hit")))
    assert (await judge(pipeline)).stop.body == b"hit"


async def test_a_reply_that_cannot_be_rewritten_does_not_go_out():
    class Broken(BodyTransform):
        def feed(self, chunk):
            raise ValueError(chunk)

    pipeline, meter = build(Step("a", rewrite=Broken()), Step("b", outcome=Reply(b"<SECRET>")))
    judged = await judge(pipeline)
    assert judged.stop.reason is Reason.FAULT
    assert meter.faults == {"b": 1}


async def test_settle_goes_backwards_and_a_fault_spares_the_others(caplog):
    seen = []
    pipeline, meter = build(
        Step("a", seen=seen), Bare(), Step("b", seen=seen, outcome=KeyError("x")),
        Step("c", seen=seen),
    )  # fmt: skip
    await pipeline.settle(Outcome({"settle_key": "k9"}, 200, 1, ()))
    assert seen == ["c", "b", "a"]
    assert meter.faults == {"b": 1}
    (record,) = caplog.records
    assert (record.message, record.filter, record.settle_key) == ("settle_fault", "b", "k9")


async def test_only_who_may_hear_of_an_end_twice_is_told_again():
    class Twice(Step):
        async def settle_again(self, outcome):
            await self.settle(outcome)

    seen = []
    pipeline, meter = build(
        Step("a", seen=seen),
        Twice("b", seen=seen, outcome=ValueError("x")),
        Twice("c", seen=seen),
    )
    await pipeline.settle_again(Outcome({"settle_key": "k9"}, 200, 1, ()))
    assert (seen, meter.faults) == (["b", "c"], {"b": 1})


async def test_settle_of_a_request_no_filter_saw(caplog):
    pipeline, _ = build(Step("a", outcome=KeyError("x")))
    await pipeline.settle(Outcome({}, 400, 0, ()))
    assert [record.settle_key for record in caplog.records] == [""]


@given(st.permutations([0, 1, 2, 3]), st.integers(0, 3))
async def test_a_pipeline_that_loads_finds_every_fact(order, skippable):
    """A chain where each needs what the one before provides: only its own order is served."""
    kinds = [Operation, Identity, Prompt, Model]
    chain = [
        Step(str(i), needs=set(kinds[:i]), provides={kinds[i]}, outcome=None) for i in range(4)
    ]
    chain[skippable].on_fault = "continue"
    filters = [chain[i] for i in order]
    try:
        pipeline, _ = build(*filters)
    except PolicyError:
        assert order != [0, 1, 2, 3] or skippable != 3
        return
    assert (order, skippable) == ([0, 1, 2, 3], 3)
    found = (await judge(pipeline)).request
    assert all(isinstance(found.find(kind), Fact) for kind in kinds)
