"""Who is answered from the cache, who waits, who goes."""

import asyncio
import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.cache.flights import Flights
from extproc.cache.keeper import Keeper
from extproc.cache.key import Keys
from extproc.cache.rules import CacheRule, SemanticRule
from extproc.cache.semantic import Semantic
from extproc.decision import Reply, Wait
from extproc.errors import CountersFaultError, QuestionsFaultError
from extproc.filter import AnswerMode
from extproc.filters.cache import MOST_ASKED, Cache, Caching
from extproc.filters.collect import Collect, Looked
from extproc.filters.serve import Hit
from extproc.request import Body, Identity, Kind, Model, Operation, Prompt, Request
from extproc.safety.masked import Masked
from extproc.stores.cache_memory import MemoryAnswers
from extproc.stores.cache_redis import open_answers
from extproc.stores.memory import MemoryCacheMeter
from extproc.stores.questions_memory import MemoryQuestions
from tests.extproc.cache.answers import body
from tests.extproc.cache.hearing import Letters
from tests.extproc.requests import bare

RULE = CacheRule(ttl_s=60, bill=Decimal("0.5"), wait_s=5.0)


class View:
    """Implements what is asked of `EngineView`."""

    up = True

    def candidates(self, pool, model=""):
        return ["1.2.3.4:8000"] if self.up else []


class Away(MemoryAnswers):
    """A store that cannot be reached."""

    async def get(self, key):
        raise CountersFaultError("away")


class Stand:
    """A cache, its clock and its surroundings."""

    def __init__(self, *rules, answers=None, embedder=None, questions=None):
        self.now_s, self.meter, self.view = 1_000.0, MemoryCacheMeter(), View()
        self.answers = MemoryAnswers() if answers is None else answers
        self.questions = MemoryQuestions() if questions is None else questions
        likeness = Semantic(embedder, self.questions) if embedder else None
        self.keeper = Keeper(self.answers, self.meter, likeness, self.clock)
        caching = Caching(self.answers, Flights(), self.keeper, self.meter)
        rules = rules or (RULE,)
        self.collect = Collect(self.keeper)
        self.cache = Cache(rules, Keys("s"), caching, self.view, frozenset({"far"}), self.clock)

    def clock(self):
        return self.now_s

    async def ask(self, request):
        decision = await self.cache.decide(request)
        while isinstance(decision, Wait):
            decision = await decision.decide()
        return decision

    async def fill(self, request, raw=None, *, stream=False):
        """Let it go, and its answer come back."""
        went = await self.ask(request)
        assert isinstance(went, Request), went
        transform = self.collect.transform(went)
        raw = body(went.fact(Operation).kind, stream=stream) if raw is None else raw
        assert transform.feed(raw) + transform.finish() == raw
        await self.keeper.keep(self.keeper._waiting.get_nowait())
        return went


def asked(text="hi", *, kind=Kind.CHAT, tenant="acme", stream=False, pool="p", header="", **more):
    document = {"messages": [{"role": "user", "content": text}], "temperature": 0, **more}
    return (
        bare(headers={"cache-control": header} if header else {})
        .having(Operation(kind))
        .having(Identity(tenant, "k1"))
        .having(Body(b"{}"))
        .having(Prompt(document, "m", stream=stream, wants_usage=stream))
        .having(Model("m", pool, "served", price="10//20"))
    )


async def test_a_miss_then_a_hit():
    stand = Stand()
    went = await stand.fill(asked())
    assert went.fact(Looked).witness() == {"cache": "miss"}
    stand.now_s += 12
    reply = await stand.ask(asked())
    assert reply.headers["x-headgate-cache"] == "hit; kind=exact; age=12"
    assert json.loads(reply.body)["choices"][0]["message"]["content"] == "Paris."
    assert reply.witness == {
        "cache": "hit; kind=exact; age=12",
        "pool": "(cache)",
        "price": "5//10",
    }
    assert reply.usage == {"prompt_tokens": 9, "completion_tokens": 3}
    assert stand.meter.looks == [("miss", ""), ("hit", "exact")]


async def test_either_form_fills_and_is_served():
    stand = Stand()
    await stand.fill(asked(stream=True), stream=True)
    assert json.loads((await stand.ask(asked())).body)["usage"]["total_tokens"] == 12
    streamed = await stand.ask(asked(stream=True))
    assert streamed.content_type.startswith("text/event-stream")
    assert streamed.body.endswith(b"data: [DONE]\n\n")


async def test_its_time_ends():
    stand = Stand()
    await stand.fill(asked())
    stand.now_s += 60
    assert isinstance(await stand.ask(asked()), Request)


async def test_a_client_may_want_none_or_a_younger_one():
    stand = Stand()
    await stand.fill(asked())
    refused = await stand.ask(asked(header="no-store"))
    assert refused.fact(Looked).said == "bypass; reason=no-store"
    assert stand.collect.transform(refused) is None
    assert isinstance(await stand.ask(asked(header="no-cache")), Request)
    stand.now_s += 10
    assert isinstance(await stand.ask(asked(header="max-age=9")), Request)
    assert isinstance(await stand.ask(asked(header="max-age=10")), Reply)


async def test_others_pass():
    stand = Stand(CacheRule(tenants=frozenset({"globex"})))
    assert (await stand.ask(asked())).find(Looked) is None
    told = await stand.ask(asked(tenant="globex", tools=[{}]))
    assert told.fact(Looked).said == "bypass; reason=tools"
    assert (
        (await stand.ask(asked("\ud800", tenant="globex"))).fact(Looked).said.endswith("unreadable")
    )


@pytest.mark.parametrize(
    ("request_", "mode"),
    [
        (asked(), AnswerMode.STREAMED),
        (asked(tenant="globex"), AnswerMode.NONE),
        (asked(kind=Kind.EMBEDDINGS), AnswerMode.NONE),
        (asked(header="no-store"), AnswerMode.NONE),
    ],
)
def test_only_who_may_fill_it_is_shown(request_, mode):
    assert Stand(CacheRule(tenants=frozenset({"acme"}))).cache.wish(request_) is mode


async def test_equal_requests_wait_for_the_first():
    stand = Stand()
    first = await stand.ask(asked())
    others = [asyncio.ensure_future(stand.ask(asked())) for _ in range(3)]
    await asyncio.sleep(0)
    transform = stand.collect.transform(first)
    transform.feed(body())
    transform.finish()
    await stand.keeper.keep(stand.keeper._waiting.get_nowait())
    told = [reply.headers["x-headgate-cache"] for reply in await asyncio.gather(*others)]
    assert told == ["hit; kind=coalesced; age=0"] * 3


async def test_when_the_first_is_gone_one_of_the_others_goes():
    stand = Stand()
    first = await stand.ask(asked())
    others = [asyncio.ensure_future(stand.ask(asked())) for _ in range(2)]
    await asyncio.sleep(0)
    del first
    async with asyncio.timeout(30):
        done, waiting = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
    assert [type(task.result()) for task in done] == [Request]
    assert len(waiting) == 1
    for task in waiting:
        task.cancel()


async def test_nobody_waits_longer_than_a_rule_allows():
    for wait_s in (0.0, 0.01):
        stand = Stand(CacheRule(wait_s=wait_s))
        first = await stand.ask(asked())
        assert isinstance(await stand.ask(asked()), Request)
        assert first


async def test_a_store_that_is_away_is_a_miss():
    stand = Stand(answers=Away())
    assert (await stand.ask(asked())).fact(Looked).said == "miss"
    assert stand.meter.looks == [("fault", "store"), ("miss", "")]


async def test_an_old_answer_where_no_engine_is_up():
    stand = Stand(CacheRule(ttl_s=60, stale_if_error_s=100))
    await stand.fill(asked())
    stand.now_s += 70
    stand.view.up = False
    told = (await stand.ask(asked())).headers["x-headgate-cache"]
    assert told == "stale; kind=exact; age=70"
    assert isinstance(await stand.ask(asked("other")), Request)
    stand.view.up = True
    assert isinstance(await stand.ask(asked()), Request)
    stand.view.up = False
    stand.now_s += 100
    assert isinstance(await stand.ask(asked()), Request)


async def test_of_services_elsewhere_nobody_knows():
    stand = Stand(CacheRule(ttl_s=60, stale_if_error_s=100))
    await stand.fill(asked(pool="far"))
    stand.now_s += 70
    stand.view.up = False
    assert isinstance(await stand.ask(asked(pool="far")), Request)


async def test_hits_may_take_from_limits_first():
    stand = Stand(CacheRule(charge_limits=True))
    await stand.fill(asked())
    hit = await stand.ask(asked())
    assert isinstance(hit.fact(Hit).reply, Reply)
    assert stand.collect.transform(hit) is None


SEMANTIC = CacheRule(semantic=SemanticRule(0.75))


async def test_a_question_that_asks_the_same():
    stand = Stand(SEMANTIC, embedder=Letters())
    await stand.fill(asked("How do I reset my password?"))
    told = (await stand.ask(asked("Please, how can I reset my password"))).headers
    assert told["x-headgate-cache"].startswith("hit; kind=semantic; age=0; similarity=0.8")
    for other in ("How do I not reset my password?", "Why do I reset my password?"):
        assert isinstance(await stand.ask(asked(other)), Request)
    again = asked("How can I reset my password?")
    others = again.having(Identity("globex", "k"))
    assert isinstance(await stand.ask(others), Request)
    assert isinstance(await stand.ask(asked("How can I reset my password?", seed=1)), Request)
    assert isinstance(await stand.ask(again.having(Masked({}))), Request)
    stand.now_s += 4000
    assert isinstance(await stand.ask(again), Request)


async def test_who_cannot_hear_finds_the_exact_one():
    ears = Letters()
    stand = Stand(SEMANTIC, embedder=ears)
    await stand.fill(asked("How do I reset my password?"))
    ears.deaf = True
    assert isinstance(await stand.ask(asked("How do I reset my password?")), Reply)
    assert isinstance(await stand.ask(asked("how do I reset my password")), Request)
    assert ("fault", "embedding") in stand.meter.looks


class Deaf(MemoryQuestions):
    """Questions that cannot be reached."""

    async def nearest(self, sought, now_ms):
        raise QuestionsFaultError("away")

    async def add(self, sought, key, until_ms):
        raise QuestionsFaultError("away")


async def test_where_questions_cannot_be_reached_it_is_a_miss():
    stand = Stand(SEMANTIC, embedder=Letters(), questions=Deaf())
    await stand.fill(asked("How do I reset my password?"))
    assert stand.meter.answers == ["kept"], "its equal finds it"
    assert isinstance(await stand.ask(asked("How do I reset my password?")), Reply)
    went = await stand.ask(asked("how do I reset my password"))
    assert went.fact(Looked).said == "miss"
    assert stand.meter.looks.count(("fault", "questions")) == 3


async def test_an_answer_that_is_gone_hides_no_other():
    stand = Stand(SEMANTIC, embedder=Letters())
    for name in ("How do I reset it?", "Please, how can I reset it"):
        await stand.fill(asked(name, header="no-cache"))
    asked_again = asked("how do I reset it")
    near = (await stand.ask(asked_again)).headers["x-headgate-cache"]
    key = list(stand.answers._held)[-1]  # the one that was just given
    stand.answers._drop(key)
    far = (await stand.ask(asked_again)).headers["x-headgate-cache"]
    assert near > far, "less similar, and a hit"
    await stand.answers.purge("")
    assert isinstance(await stand.ask(asked_again), Request)
    assert MOST_ASKED > 1


TEXTS = ["How do I reset it?", "Please, how do I reset it", "hello there"]
ASKED = st.tuples(
    st.sampled_from(["acme", "globex", "a", ""]), st.sampled_from(TEXTS), st.booleans(),
    st.sampled_from(["tenant", "project", "user"]),
)  # fmt: skip


@pytest.mark.parametrize("store", ["memory", "redis"])
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(requests=st.lists(ASKED, max_size=12))
async def test_no_answer_crosses_tenants(store, valkey, requests):
    """Each answer says whose it is; whatever is asked in whichever order, nobody gets another's."""
    valkey.order("FLUSHALL")
    async with open_answers(valkey.url, deadline_s=10) as shared:
        answers = shared if store == "redis" else MemoryAnswers()
        stands = {
            sharing: Stand(
                CacheRule(semantic=SemanticRule(0.6), sharing=sharing), answers=answers, embedder=Letters()
            )
            for sharing in ("tenant", "project", "user")
        }  # fmt: skip
        for tenant, text, stream, sharing in requests:
            stand, request = stands[sharing], asked(text, tenant=tenant, stream=stream)
            decision = await stand.ask(request)
            if isinstance(decision, Reply):
                assert f"for <{tenant}>".encode() in decision.body
                continue
            transform = stand.collect.transform(decision)
            transform.feed(body(text=f"for <{tenant}>", stream=stream))
            transform.finish()
            await stand.keeper.keep(stand.keeper._waiting.get_nowait())
