"""The filter: a fact for every request, and what it learns at the end."""

import pytest

from engines.watch.frames import Frames, frame
from extproc.counting.counted import Counted
from extproc.counting.counter import Counter
from extproc.counting.estimate import Estimator
from extproc.counting.lasting import Lasting
from extproc.counting.lengths import LEAST_SEEN
from extproc.decision import Outcome
from extproc.filters.count import Count
from extproc.pipeline import Pipeline
from extproc.request import Body, Identity, Kind, Model, Operation, Prompt, Request
from extproc.stores.memory import MemoryEngines
from tests.extproc.counting.templates import CHATML
from tests.extproc.counting.vocabularies import ENGLISH, qwen, vocabulary
from tests.extproc.requests import BARE

HI = {"messages": [{"role": "user", "content": "hello"}]}


class Bench:
    """A filter for two models, and all it works with."""

    def __init__(self):
        self.lasting = Lasting()
        self.threads, self.lengths = self.lasting.threads, self.lasting.lengths
        self.estimator = self.lasting.estimator("rough")
        self.view = MemoryEngines()
        self.view.tell_used(self.lasting.learn)
        self.seen = []
        counters = {
            "exact": Counter(self.threads, Estimator(), vocabulary(qwen(), CHATML)),
            "rough": Counter(self.threads, self.estimator),
        }
        contexts = {"exact": 1000}
        self.filter = Count(counters, contexts, self.lengths, self.view.used, self.observe)

    def observe(self, *told):
        self.seen.append(told)

    async def count(self, document=None, model="exact", kind=Kind.CHAT, raw=b"{}"):
        request = BARE.having(Body(raw)) if raw else BARE
        for fact in (
            Operation(kind),
            Identity("acme", "key-1"),
            Prompt(document or HI, model),
            Model(model, "pool", "served"),
        ):
            request = request.having(fact)
        decided = await self.filter.decide(request)
        assert isinstance(decided, Request)
        return decided

    async def settle(self, request, status=200, running=False, **usage):
        told = {f"{name}_tokens": float(count) for name, count in usage.items()}
        outcome = Outcome(request.witness(), status, 1, (), told, running)
        await self.filter.settle(outcome)


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.threads.close()


async def test_a_fact_for_a_request(bench):
    counted = (await bench.count({**HI, "max_tokens": 50, "n": 2})).fact(Counted)
    assert counted.prompt_tokens == 9
    assert (counted.counted_by, counted.is_exact) == ("tokenizer", True)
    assert (counted.likely_tokens, counted.most_tokens, counted.answers) == (100, 100, 2)
    unbound = (await bench.count()).fact(Counted)
    assert unbound.most_tokens == 991


async def test_a_question_about_tokens_costs_none(bench):
    counted = (await bench.count(kind=Kind.COUNT_TOKENS)).fact(Counted)
    assert (counted.prompt_tokens, counted.most_tokens, counted.answers) == (0, 0, 0)


async def test_a_body_nobody_kept(bench):
    assert (await bench.count(raw=None)).fact(Counted).prompt_tokens == 9


async def test_the_order_can_be_checked():
    bench = Bench()
    pipeline = Pipeline([Everything(), bench.filter, Reserve()], "v", None)
    assert pipeline.version == "v"
    bench.threads.close()


class Everything(Count):
    name, needs, provides = "everything", frozenset(), Count.needs

    def __init__(self):
        pass


class Reserve(Everything):
    name, needs, provides = "reserve", frozenset({Counted}), frozenset()


async def test_errors_are_measured(bench):
    await bench.settle(await bench.count(), prompt=9, completion=5)
    rough = await bench.count(model="rough")
    await bench.settle(rough, prompt=10, completion=5)
    estimate = rough.fact(Counted).prompt_tokens
    assert bench.seen == [(1.0, "exact", "tokenizer"), (estimate / 10, "rough", "estimate")]


async def test_estimates_learn(bench):
    document = {"messages": [{"role": "user", "content": ENGLISH}]}
    truth = 3 * (await bench.count(document, "rough")).fact(Counted).prompt_tokens
    for _ in range(60):
        await bench.settle(await bench.count(document, "rough"), prompt=truth, completion=1)
    learned = (await bench.count(document, "rough")).fact(Counted).prompt_tokens
    assert learned == pytest.approx(truth, rel=0.1)


async def test_lengths_are_learned_for_each_answer(bench):
    request = await bench.count({**HI, "n": 2})
    for _ in range(LEAST_SEEN):
        await bench.settle(request, prompt=9, completion=80)
    counted = (await bench.count()).fact(Counted)
    assert 40 <= counted.likely_tokens <= 48
    assert (await bench.count(model="rough")).fact(Counted).likely_tokens > 500


@pytest.mark.parametrize(
    ("status", "running", "usage"),
    [
        (200, True, {"prompt": 9, "completion": 80}),
        (500, False, {"prompt": 9, "completion": 80}),
        (0, False, {"prompt": 9, "completion": 80}),
        (200, False, {}),
        (200, False, {"prompt": 0, "completion": 0}),
    ],
)
async def test_what_teaches_nothing(bench, status, running, usage):
    request = await bench.count(model="rough")
    rates = bench.estimator.rates
    await bench.settle(request, status, running, **usage)
    assert (bench.seen, bench.estimator.rates, len(bench.lengths)) == ([], rates, 0)


@pytest.mark.parametrize("count", [-5, 2.0**80])
async def test_an_engine_that_says_anything(bench, count):
    told = []
    bench.view.tell_used(lambda used: (told.append(used), bench.lasting.learn(used)))
    await bench.settle(await bench.count(model="rough"), prompt=count, completion=count)
    assert [each for used in told for each, _ in Frames().feed(frame(used))] == told


async def test_requests_that_were_not_counted_and_models_that_are_gone(bench):
    await bench.filter.settle(Outcome({}, 200, 1, (), {"prompt_tokens": 5}))
    witness = {
        "prompt_estimate": 5.0,
        "counted_by": "estimate",
        "prompt_mix": "400 0 0 0 1",
        "model": "gone",
    }
    await bench.filter.settle(Outcome(witness, 200, 1, (), {"prompt_tokens": 5}))
    assert bench.seen == [(1.0, "gone", "estimate")]


async def test_embeddings_have_no_answer(bench):
    request = await bench.count({"input": "hello"}, kind=Kind.EMBEDDINGS)
    assert request.fact(Counted).most_tokens == 0
    await bench.settle(request, prompt=1, completion=1)
    assert len(bench.lengths) == 0
