"""The life of one request, against a scripted stream: no protobuf, no gRPC."""

import asyncio
import weakref
from itertools import pairwise
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.budget import LARGE_BYTES, MAX_HELD_BYTES, ByteBudget
from extproc.decision import Deny, Relay, Reply, Wait
from extproc.errors import DownstreamGoneError, Reason, WireError
from extproc.filter import BodyTransform, Filter
from extproc.pipeline import Pipeline
from extproc.request import Body, Fact, Model, Payload, Route
from extproc.stopwatch import Stopwatch
from extproc.stores.memory import MemoryMeter
from extproc.stream import Chunk, judge, rewrite, serve
from extproc.witness import CurrentPipeline
from tests.extproc.requests import BARE, bare

GUARD_S = 30.0


class Script:
    """Plays one HTTP request. `body` may be bytes, a Deny, or an exception; `replaced` is what the
    client would get; `told` is the order of what we did."""

    def __init__(
        self, body=b"{}", chunks=(), *, may_leave=True, pause_s=0.0, during=None, request=BARE
    ):
        self._request = request
        self._body, self._chunks, self.may_leave = body, chunks, may_leave
        self._pause_s, self._during = pause_s, during or (lambda: None)
        self.waited_s = 0.0
        self.told, self.replaced = [], []
        self.admitted = self.forwarded = self.answered = None

    may_push = False

    async def head(self):
        self.told.append("head")
        return self._request

    async def admit(self, admit):
        self.told.append("admit")
        self.admitted = admit

    async def body(self, held):
        self.told.append("body")
        before = perf_counter()
        await asyncio.sleep(self._pause_s)
        self._during()
        if isinstance(self._body, Exception):
            raise self._body
        if isinstance(self._body, bytes):
            held.take(len(self._body))
        self.waited_s = perf_counter() - before
        return self._body

    async def forward(self, forward):
        self.told.append("forward")
        self.forwarded = forward

    async def answer(self, answer):
        self.told.append("answer")
        self.answered = answer

    async def chunks(self, *, plain=False):
        self.told.append("chunks")
        self.plain = plain
        for index, data in enumerate(self._chunks):
            yield Chunk(data, last=index == len(self._chunks) - 1)
            assert len(self.replaced) == index + 1, "a chunk was asked for before the last was met"

    async def replace(self, data):
        self.replaced.append(data)

    async def end(self, data):
        self.told.append("end")
        self.replaced.append(data)

    async def hand_over(self, hand_over, held):
        self.told.append("hand over")
        self.forwarded = hand_over

    async def stretch(self, most_s):
        self.told.append(f"stretch {most_s}")


class Head(Filter):
    """Decides at the head, as told."""

    name = "head"

    def __init__(self, outcome=None):
        self.outcome = outcome

    async def decide(self, request):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome or request


class Late(Head):
    """Decides when the body is here; without an outcome it finds all that forwarding needs."""

    name = "late"
    needs = frozenset({Body})

    def __init__(self, outcome=None, transform=lambda: None):
        super().__init__(outcome)
        self.transform = lambda _: transform()

    async def decide(self, request):
        request = request.having(Payload(b'{"model":"m"}')).having(Model("m", "p", "m"))
        return await super().decide(request.having(Route(("10.0.0.1:80",))))


class Hold(BodyTransform):
    """Puts `mark` around every byte, one byte late: what `finish` returns matters."""

    def __init__(self, mark):
        self.mark, self.held = mark, b""

    def feed(self, chunk):
        whole = self.held + chunk
        self.held = whole[-1:]
        return b"".join(self.mark + bytes([byte]) for byte in whole[:-1])

    def finish(self):
        return b"".join(self.mark + bytes([byte]) for byte in self.held) + b"."


class Meter(MemoryMeter):
    """Keeps the seconds too."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def decided(self, outcome, seconds):
        super().decided(outcome, seconds)
        self.seconds.append(seconds)


async def play(script, *filters):
    meter = Meter()
    budget = ByteBudget(1000)
    try:
        await serve(script, Pipeline(filters or [Late()], "v1", meter), budget, meter)
    finally:
        assert budget.held == 0
    return meter


async def test_a_request_that_goes_through():
    script = Script()
    meter = await play(script)
    assert script.told == ["head", "admit", "body", "forward"]
    assert script.forwarded.body == b'{"model":"m"}'
    assert meter.decisions == {"forward": 1}


@pytest.mark.parametrize(
    ("outcome", "status", "counted"),
    [
        (Deny(Reason.INVALID_KEY, "no"), 401, "deny"),
        (Deny(Reason.OVERLOADED, "later"), 503, "deny"),
        (Deny(Reason.FAULT, "oh"), 500, "fault"),
        (ZeroDivisionError(), 500, "fault"),
        (Reply(b"[]"), 200, "reply"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "told"),
    [(Head, ["head", "answer"]), (Late, ["head", "admit", "body", "answer"])],
)
async def test_one_that_stops_is_answered_and_counted_once(outcome, status, counted, kind, told):
    script = Script()
    meter = await play(script, kind(outcome))
    assert script.told == told
    assert script.answered.status == status
    assert meter.decisions == {counted: 1}


async def test_a_body_that_cannot_be_held_is_a_refusal_no_filter_sees():
    script = Script(Deny(Reason.TOO_LARGE, "too large"))
    meter = await play(script, Head(), Late(ZeroDivisionError()))
    assert script.told == ["head", "admit", "body", "answer"]
    assert script.answered.status == 413
    assert meter.decisions == {"deny": 1}
    assert not meter.faults


def announcing(size):
    return Script(request=bare(headers={"content-length": str(size)}))


@pytest.mark.parametrize(
    ("announced", "limit", "told"),
    [
        (LARGE_BYTES + 1, LARGE_BYTES, ["head", "answer"]),
        (LARGE_BYTES + 1, MAX_HELD_BYTES, ["head", "admit", "body", "forward"]),
        (LARGE_BYTES, 1000, ["head", "admit", "body", "forward"]),
    ],
)
async def test_a_large_body_is_not_asked_for_when_there_is_no_room(announced, limit, told):
    script, meter = announcing(announced), Meter()
    budget = ByteBudget(limit)
    await serve(script, Pipeline([Late()], "v1", meter), budget, meter)
    assert script.told == told
    assert budget.held == 0
    if script.answered:
        assert script.answered.status == 503
        assert script.answered.headers["retry-after"]
        assert meter.decisions == {"deny": 1}


async def test_a_head_that_is_refused_reserves_nothing():
    script, meter = announcing(LARGE_BYTES + 1), Meter()
    budget = ByteBudget(MAX_HELD_BYTES)
    with budget.hold() as held:
        deny = Deny(Reason.INVALID_KEY, "no")
        pipeline = Pipeline([Head(deny), Late()], "v1", meter)
        judged = await judge(script, await script.head(), pipeline, held, Stopwatch())
        assert (judged.stop, held.reserved) == (deny, 0)


@pytest.mark.parametrize("error", [DownstreamGoneError("gone"), WireError("order", "what?")])
async def test_a_stream_that_breaks_is_not_a_decision(error):
    meter = Meter()
    budget = ByteBudget(1000)
    with pytest.raises(type(error)):
        await serve(Script(error), Pipeline([Late()], "v1", meter), budget, meter)
    assert not meter.decisions
    assert budget.held == 0


async def test_being_cancelled_gives_the_bytes_back():
    meter, waiting = Meter(), asyncio.Event()
    budget = ByteBudget(1000)

    class Slow(Late):
        async def decide(self, request):
            assert budget.held == 2
            waiting.set()
            await asyncio.Event().wait()

    serving = serve(Script(), Pipeline([Slow()], "v1", meter), budget, meter)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(serving)
        await waiting.wait()
        task.cancel()
    assert budget.held == 0
    assert not meter.decisions


async def test_a_stream_keeps_the_policy_it_began_with():
    meter = Meter()
    current = CurrentPipeline(Pipeline([Head(), Late()], "v1", meter))

    def reload():
        current.pipeline = Pipeline([Head(Deny(Reason.METHOD, "no"))], "v2", meter)

    script = Script(during=reload)
    await serve(script, current.pipeline, ByteBudget(1000), meter)
    assert script.admitted.metadata["headgate"]["policy"] == "v1"
    assert script.forwarded.metadata["headgate"]["policy"] == "v1"
    after = Script()
    await serve(after, current.pipeline, ByteBudget(1000), meter)
    assert after.answered.metadata["headgate"]["policy"] == "v2"


@pytest.mark.parametrize("late", [Late(), Late(Deny(Reason.METHOD, "no"))])
async def test_how_long_the_client_takes_is_not_our_time(late):
    script = Script(pause_s=0.05)
    before = perf_counter()
    meter = await play(script, late)
    elapsed = perf_counter() - before
    (seconds,) = meter.seconds
    assert 0 < seconds <= elapsed - script.waited_s


async def test_what_the_filters_take_is_our_time():
    class Slow(Late):
        async def decide(self, request):
            await asyncio.sleep(0.02)
            return await super().decide(request)

    (seconds,) = (await play(Script(), Slow())).seconds
    assert seconds > 0.019, "sleep may end a clock tick early"


async def test_what_is_not_rewritten_is_not_read():
    script = Script(chunks=[b"a", b"b"])
    await play(script)
    assert "chunks" not in script.told


async def test_where_leaving_would_lose_bytes_the_answer_is_passed_on():
    script = Script(chunks=[b"a", b"", b"b"], may_leave=False)
    await play(script)
    assert script.replaced == [b"a", b"", b"b"]


async def test_no_request_byte_is_held_while_the_answer_runs():
    held = []
    meter = Meter()
    budget = ByteBudget(1000)

    class Look(Hold):
        def feed(self, chunk):
            held.append(budget.held)
            return super().feed(chunk)

    late = Late(transform=lambda: Look(b"-"))
    script = Script(b"x" * 900, chunks=[b"a", b""])
    await serve(script, Pipeline([late], "v1", meter), budget, meter)
    assert held == [0, 0]


async def test_a_rewritten_answer_is_counted_when_it_was_decided():
    class Broken(Hold):
        def feed(self, chunk):
            raise ZeroDivisionError

    meter = Meter()
    pipeline = Pipeline([Late(transform=lambda: Broken(b""))], "v1", meter)
    script = Script(chunks=[b"a"])
    with pytest.raises(ZeroDivisionError):
        await serve(script, pipeline, ByteBudget(1000), meter)
    assert meter.decisions == {"forward": 1}
    assert script.replaced == [], "what could not be rewritten must not go out"


class Stop(Hold):
    """Has heard enough at the first `!`."""

    def feed(self, chunk):
        self.over = self.over or b"!" in chunk
        return super().feed(chunk)


async def test_a_transform_may_end_the_answer():
    script = Script(chunks=[b"a", b"b!", b"c", b""])
    await play(script, Late(transform=lambda: Stop(b"-")), Late(transform=lambda: Hold(b"")))
    assert b"".join(script.replaced) == b"-a-b-!.."
    assert script.told[-1] == "end"


async def test_an_answer_that_ends_by_itself_is_not_ended_again():
    script = Script(chunks=[b"a", b"!"])
    await play(script, Late(transform=lambda: Stop(b"")))
    assert b"".join(script.replaced) == b"a!."
    assert "end" not in script.told


async def test_what_is_handed_over_is_not_read():
    script = Script()
    meter = await play(script, Head(Relay("sidecar", {"x-headgate-tenant": "acme"})), Late())
    assert script.told == ["head", "hand over"]
    assert script.forwarded.set_headers["x-headgate-pool"] == "sidecar"
    assert script.forwarded.set_headers["x-headgate-tenant"] == "acme"
    assert "authorization" in script.forwarded.remove_headers
    assert meter.decisions == {"relay": 1}


@pytest.mark.parametrize("kind", [Head, Late])
async def test_a_wait_is_told_to_envoy_and_is_not_our_time(kind):
    waited_s = 0.0

    async def decide():
        nonlocal waited_s
        before = perf_counter()
        await asyncio.sleep(0.05)
        waited_s = perf_counter() - before
        return Deny(Reason.METHOD, "no")

    script, before = Script(), perf_counter()
    meter = await play(script, kind(Wait(3.0, decide)), Late())
    assert script.told[-2:] == ["stretch 3.0", "answer"]
    assert meter.decisions == {"deny": 1}
    assert meter.seconds[0] <= perf_counter() - before - waited_s


class Large(Fact, frozen=True, weakref=True):
    """Stands for a prompt."""


class Reads(Late):
    """Keeps no more than an eye on what it has read."""

    async def decide(self, request):
        large = Large()
        self.seen = weakref.ref(large)
        return await super().decide(request.having(large))


async def test_a_request_is_let_go_before_its_answer_is_rewritten():
    """An answer may take minutes, and the budget counts what decisions hold."""
    filter_ = Reads(transform=lambda: Watching(filter_))
    await play(Script(chunks=[b"a", b""]), filter_)
    assert filter_.held == [False, False, False]


class Watching(BodyTransform):
    """Notes whether what was read is still there."""

    def __init__(self, filter_):
        self.filter = filter_
        filter_.held = []

    def feed(self, chunk):
        self.filter.held.append(self.filter.seen() is not None)
        return chunk

    def finish(self):
        return self.feed(b"")


async def test_who_only_looks_on_takes_answers_however_they_are_written():
    for reads in ((), (False,), (False, True)):
        transforms = [Hold(b"") for _ in reads]
        for each, told in zip(transforms, reads, strict=True):
            each.reads = told
        script = Script(chunks=[b""])
        await rewrite(script, transforms)
        assert script.plain is any(reads)


async def test_rewriting_without_a_transform_passes_all_on():
    script = Script(chunks=[b"a", b"b", b""])
    await rewrite(script, [])
    assert script.replaced == [b"a", b"b", b""]


@given(st.binary(max_size=50), st.lists(st.integers(0, 50), max_size=5))
async def test_transforms_are_chained_whatever_the_chunks(data, cuts):
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[a:b] for a, b in pairwise(edges)]
    script = Script(chunks=[*chunks, b""])
    inner, outer = Late(transform=lambda: Hold(b"i")), Late(transform=lambda: Hold(b"o"))
    await play(script, inner, outer)
    once = b"".join(b"i" + bytes([byte]) for byte in data) + b"."
    twice = b"".join(b"o" + bytes([byte]) for byte in once) + b"."
    assert b"".join(script.replaced) == twice


class Patient(BodyTransform):
    """Holds what it was fed until it has heard nothing for a while, or has to wait for a ruling."""

    def __init__(self, *, ends=False, asks=False):
        self.held, self.ends, self.asks = b"", ends, asks

    def feed(self, chunk):
        if chunk:
            self.held += chunk
            return b""
        if self.asks and not self.waits:
            self.waits = True
            return b""
        out, self.held = self.held, b""
        self.over = self.ends
        return out

    def finish(self):
        if self.asks and self.held:
            self.waits = True
            return b""
        out, self.held = self.held, b""
        return out

    async def wait(self):
        await asyncio.sleep(0)
        self.waits = self.asks = False

    def patience_s(self):
        return 0.01 if self.held else None


class Slow(Script):
    """Full duplex: chunks come after pauses, or once as much has gone out as `outs` says for each."""

    may_push = True

    def __init__(self, *chunks, pause_s=0.0, outs=0):
        super().__init__()
        self._slow, self._pause, self._outs = chunks, pause_s, outs
        self.left = False

    async def chunks(self, *, plain=False):
        try:
            for index, data in enumerate(self._slow):
                if index:
                    await asyncio.sleep(self._pause)
                while len(self.replaced) < index * self._outs:  # noqa: ASYNC110 - a list tells nobody
                    await asyncio.sleep(0.001)
                yield Chunk(data, last=index == len(self._slow) - 1)
        finally:
            self.left = True


async def test_what_is_held_goes_out_while_nothing_comes():
    script = Slow(b"a", b"b", b"c", outs=2)
    await asyncio.wait_for(rewrite(script, [Patient()]), GUARD_S)
    assert script.replaced == [b"", b"a", b"", b"b", b"c"]
    assert script.left


async def test_where_nothing_can_be_pushed_it_goes_out_with_the_next():
    script = Slow(b"a", b"b", pause_s=0.05)
    script.may_push = False
    await rewrite(script, [Patient()])
    assert script.replaced == [b"", b"ab"]


async def test_an_answer_that_ends_while_nothing_comes():
    script = Slow(b"a", b"b", pause_s=10 * GUARD_S)
    await asyncio.wait_for(rewrite(script, [Patient(ends=True)]), GUARD_S)
    assert script.told[-1] == "end"
    assert script.replaced == [b"", b"a"]
    assert script.left, "nobody reads on"


async def test_a_chunk_that_comes_while_a_ruling_is_awaited_waits_its_turn():
    class Ruling(Patient):
        async def wait(self):
            await asyncio.sleep(0.1)  # the next chunk is there by then
            self.waits = self.asks = False

    script = Slow(b"a", b"b", pause_s=0.03)
    await asyncio.wait_for(rewrite(script, [Ruling(asks=True)]), GUARD_S)
    assert b"".join(script.replaced) == b"ab"
    assert len(script.replaced) == 2, "the first goes out with the second"


async def test_the_end_of_an_answer_can_be_waited_for():
    script = Script(chunks=[b"a", b"b"])
    await rewrite(script, [Patient(asks=True)])
    assert script.replaced == [b"", b"ab"]


async def test_a_fault_of_the_stream_comes_out_as_it_is():
    class Gone(Slow):
        async def chunks(self, *, plain=False):
            yield Chunk(b"a", last=False)
            await asyncio.sleep(0.02)
            raise DownstreamGoneError("gone")

    with pytest.raises(DownstreamGoneError):
        await asyncio.wait_for(rewrite(Gone(), [Patient()]), GUARD_S)
