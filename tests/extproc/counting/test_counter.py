"""One model's prompts, whatever they are, however long, and without holding up anybody."""

import asyncio
import json
import threading
import time
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.counting.counter import MOST_CHARS, Asked, Counter, Threads
from extproc.counting.estimate import Estimator
from extproc.counting.images import ImageRule
from extproc.counting.tokenizer import CountError
from extproc.counting.vocabulary import Vocabulary
from extproc.dialects.shapes import SHAPES, read
from extproc.request import Kind, Prompt
from tests.extproc.counting.templates import ALL, CHATML
from tests.extproc.counting.test_draft import Spy
from tests.extproc.counting.test_images import picture
from tests.extproc.counting.vocabularies import ENGLISH, qwen, small, vocabulary

TRIES = 10


def chat(content="hello", **more):
    return {"messages": [{"role": "user", "content": content}], **more}


@pytest.fixture
def threads():
    made = Threads(deadline_s=30)
    yield made
    made.close()


@pytest.fixture
def counter(threads):
    def make(vocabulary=None, **more):
        return Counter(threads, Estimator(), vocabulary, **more)

    return make


async def count(counter, document=None, kind=Kind.CHAT, size_bytes=100):
    return await counter.count(Asked(kind, document or chat(), size_bytes))


async def test_with_a_vocabulary(counter):
    found = await count(counter(vocabulary(qwen(), CHATML)))
    assert (found.tokens, found.counted_by, found.is_exact, found.mix) == (
        9,
        "tokenizer",
        True,
        None,
    )


async def test_numbers_are_not_exact_but_bare_texts_are(counter):
    own = counter(vocabulary(qwen(), overhead=(3, 5)))
    assert not (await count(own)).is_exact
    found = await count(own, {"prompt": ["hello", "hello world"]}, Kind.COMPLETIONS)
    assert (found.tokens, found.is_exact) == (3, True)


async def test_without_anything_it_is_estimated(counter):
    found = await count(counter())
    assert (found.counted_by, found.is_exact) == ("estimate", False)
    assert found.mix.messages == 1
    assert found.tokens == Estimator().estimate(found.mix)


async def test_what_cannot_be_counted_is_estimated(counter):
    refusing = counter(vocabulary(qwen(), ALL["turns"]))
    talk = {"messages": [{"role": "assistant", "content": "I begin."}]}
    assert (await count(refusing, talk)).counted_by == "estimate"
    monster = counter(vocabulary(qwen(), CHATML))
    found = await count(monster, chat(" " * 1_000_000), size_bytes=1_000_000)
    assert found.counted_by == "estimate"
    assert (await count(monster)).counted_by == "tokenizer"


async def test_the_engine_is_not_asked_for_what_is_very_long(counter):
    asked = []

    class Asking:
        async def count(self, *question):
            asked.append(question[-1])
            return 7

    own = counter(engine=Asking())
    found = await count(own)
    assert (found.tokens, found.counted_by, found.is_exact) == (7, "engine", True)
    assert (await count(own, size_bytes=300_000)).counted_by == "estimate"
    assert len(asked) == 1


async def test_images_by_the_rule(counter):
    url = picture(1024, 1024).url
    content = [{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": url}}]
    for own in (None, vocabulary(qwen(), CHATML)):
        plain = await count(counter(own))
        for rule, tokens in ((ImageRule(), 765), (ImageRule(50), 50), (ImageRule(0, 85, 170), 765)):
            found = await count(counter(own, images=rule), chat(content))
            assert found.tokens == plain.tokens + tokens
            assert not found.is_exact
            assert found.mix is None, "the truth would say nothing about text"


@pytest.mark.parametrize("own", [None, "qwen"])
async def test_prompts_that_the_engine_cuts(counter, own):
    made = counter(vocabulary(qwen(), CHATML) if own else None)
    found = await count(made, chat(ENGLISH, truncate_prompt_tokens=5))
    assert found.tokens == 5
    assert found.mix is None
    assert (await count(made, chat(truncate_prompt_tokens=500))).tokens < 20


async def test_token_ids_need_no_vocabulary_but_say_nothing(counter):
    found = await count(counter(), {"prompt": [1, 2, 3]}, Kind.COMPLETIONS)
    assert found.tokens in (3, 4)
    assert found.mix is None


async def test_what_is_long_is_counted_in_a_thread(counter):
    class Where(Spy):
        def count(self, text):
            self.asked.append(threading.current_thread().name)
            return len(text)

    spy = Where()
    own = counter(Vocabulary(spy))
    await count(own, chat("x" * 50))
    assert spy.asked == ["MainThread"]
    spy.asked.clear()
    await count(own, chat("y" * 101))
    await count(own, chat("z"), size_bytes=10**6)
    await count(own, {"messages": chat("a")["messages"] * 1001})
    assert all(name.startswith("count") for name in spy.asked)
    assert len(spy.asked) == 3
    spy.asked.clear()
    await count(own, chat("y" * 101))
    assert spy.asked == [], "it is remembered"
    assert own._is_large(Asked(Kind.COMPLETIONS, {"prompt": ["x"] * 1001}, 5000))
    assert not own._is_large(Asked(Kind.COMPLETIONS, {"prompt": [1] * 10_000}, 50_000))


def test_messages_that_are_rendered_take_longer(counter):
    many = Asked(Kind.CHAT, {"messages": chat("x")["messages"] * 200}, 5000)
    assert counter(vocabulary(qwen(), ALL["thinking"]))._is_large(many)
    assert not counter(vocabulary(qwen(), CHATML))._is_large(many)
    assert not counter()._is_large(many)


async def test_what_fits_no_context_is_not_worth_counting(counter):
    spy = Spy()
    found = await count(
        counter(Vocabulary(spy)), chat("x" * (MOST_CHARS + 1)), size_bytes=MOST_CHARS
    )
    assert found.counted_by == "estimate"
    assert spy.asked == []


class Slow(Spy):
    """Counts when it may."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def count(self, text):
        self.asked.append(text)
        assert len(text) < 1000 or self.go.wait(30)
        return len(text)


async def is_idle(threads):
    try:
        return await threads.run(lambda _until_s: True, 5)
    except CountError:
        return False


async def test_a_count_that_takes_too_long_is_estimated():
    slow, threads = Slow(), Threads(deadline_s=0.05)
    try:
        own = Counter(threads, Estimator(), Vocabulary(slow))
        found = await asyncio.gather(*(count(own, chat("x" * 2000)) for _ in range(3)))
        assert {each.counted_by for each in found} == {"estimate"}
        # Nobody is left to look at a large body: its size has to do.
        last = await count(own, chat("x" * 2000), size_bytes=200_000)
        assert (last.tokens, last.mix) == (50_000, None)
        # The very long ones wait elsewhere, where the estimate does not.
        slow.go.set()
        while not await is_idle(threads):
            pass
        slow.go.clear()
        for _ in range(TRIES):
            very = await count(own, chat("z" * 2000), size_bytes=400_000)
            assert very.counted_by == "estimate"
            if very.mix is not None:
                break
        else:
            pytest.fail("they wait for each other")
    finally:
        slow.go.set()
        threads.close()


async def test_nobody_waits_behind_a_very_long_one():
    slow, threads = Slow(), Threads(deadline_s=20)
    try:
        own = Counter(threads, Estimator(), Vocabulary(slow))
        async with asyncio.TaskGroup() as tasks:
            long = tasks.create_task(count(own, chat("x" * 300_000), size_bytes=300_000))
            found = await count(own, chat("y" * 500), size_bytes=500)
            assert found.counted_by == "tokenizer"
            assert not long.done()
            slow.go.set()
        assert long.result().counted_by == "tokenizer"
    finally:
        slow.go.set()
        threads.close()


async def longest_gap_s(work):
    """Run `work` beside a clock that ticks every millisecond; return its longest pause."""
    gaps, done = [], asyncio.Event()

    async def tick():
        last = time.perf_counter()
        while not done.is_set():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tick())
        await work()
        done.set()
    return max(gaps)


@pytest.mark.parametrize("name", ["small", "qwen", None])
@pytest.mark.parametrize("kind", ["long", "counted", "many"])
async def test_a_huge_prompt_holds_up_nobody(counter, tmp_path, name, kind):
    """A generous bound: a few milliseconds were measured, and counting in the loop would take half a
    second and more, at every try; a machine with other work does now and then."""
    made = {"small": lambda: small(tmp_path), "qwen": qwen}.get(name)
    document = {
        "long": lambda: chat(ENGLISH * (2**24 // len(ENGLISH))),
        "counted": lambda: chat(ENGLISH * (2**20 // len(ENGLISH))),
        "many": lambda: {"messages": chat("x")["messages"] * 20_000},
    }[kind]()

    async def work(own):
        found = await count(own, document, size_bytes=2**24)
        assert found.tokens > 50_000

    for _ in range(TRIES):
        own = counter(vocabulary(made(), CHATML) if made else None)  # which remembers nothing yet
        gap_s = await longest_gap_s(partial(work, own))
        if gap_s < 0.25:
            return
    pytest.fail(f"nothing else was done for {gap_s:.3f} s")


TEXT = st.text(max_size=20) | st.sampled_from(
    ["<|im_end|>", " ", "\n", "x-anthropic-billing-header"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip
TYPES = (
    "text", "input_text", "output_text", "refusal", "image_url", "input_image", "image", "tool_use",
    "tool_result", "thinking", "redacted_thinking", "document", "x",
)  # fmt: skip
SOURCE = {"type": "base64", "media_type": "image/png", "data": "AA"}
INNER = st.lists(
    st.sampled_from([{"type": "text", "text": "x"}, {"type": "image", "source": SOURCE}]),
    max_size=2,
)
OBJECT = st.dictionaries(st.text(max_size=3), JSON, max_size=2)
BLOCK = st.fixed_dictionaries(
    {
        "type": st.sampled_from(TYPES), "text": TEXT, "refusal": TEXT, "thinking": TEXT, "id": TEXT,
        "image_url": st.just("data:image/png;base64,iVBO"), "source": st.just(SOURCE),
        "name": st.just("f"), "input": OBJECT, "tool_use_id": TEXT, "content": TEXT | INNER,
    }
)  # fmt: skip
CALL = st.fixed_dictionaries(
    {
        "function": st.fixed_dictionaries(
            {"name": st.just("f"), "arguments": TEXT | st.just('{"a": 1}')}
        )
    }
)
STEPS = ("message", "function_call", "function_call_output", "reasoning", "x")
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": TEXT | st.lists(BLOCK, max_size=3)},
    optional={
        "name": TEXT, "tool_call_id": TEXT, "reasoning": JSON, "tool_calls": st.lists(CALL, max_size=2),
        "summary": JSON, "status": st.sampled_from(["completed", "incomplete"]),
    },
)  # fmt: skip
TOOLED = st.fixed_dictionaries({"role": st.just("tool"), "content": TEXT | st.none()})
ITEM = st.fixed_dictionaries(
    {"type": st.sampled_from(STEPS), "call_id": TEXT, "name": st.just("f"), "arguments": TEXT,
     "output": TEXT | INNER, "role": st.sampled_from(["user", "assistant", "developer"]), "content": TEXT | INNER},
    optional={"summary": JSON},
)  # fmt: skip
TOOL = st.fixed_dictionaries(
    {"type": st.sampled_from(["function", "custom"]), "name": st.just("f"), "input_schema": OBJECT,
     "function": st.fixed_dictionaries({"name": st.just("f"), "parameters": OBJECT})},
)  # fmt: skip
BARE = TEXT | st.lists(TEXT, max_size=3) | st.lists(st.integers(0, 9), max_size=3)
CARRIERS = {
    Kind.CHAT: {"messages": st.lists(MESSAGE | TOOLED, min_size=1, max_size=4)},
    Kind.COMPLETIONS: {"prompt": BARE | st.lists(st.lists(st.integers(0, 9), max_size=2))},
    Kind.EMBEDDINGS: {"input": BARE},
    Kind.RESPONSES: {"input": TEXT | st.lists(MESSAGE | ITEM, min_size=1, max_size=4)},
    Kind.MESSAGES: {"messages": st.lists(MESSAGE, min_size=1, max_size=4)},
    Kind.COUNT_TOKENS: {"messages": st.lists(MESSAGE, min_size=1, max_size=4)},
}
ODD = dict.fromkeys(
    (
        "chat_template_kwargs", "reasoning_effort", "documents", "truncate_prompt_tokens", "best_of",
        "add_generation_prompt", "output_config", "suffix", "add_special_tokens",
    ),
    JSON,
)  # fmt: skip
MORE = {
    "tools": st.lists(TOOL, max_size=2),
    "system": TEXT | INNER,
    "instructions": TEXT,
    "reasoning": OBJECT,
    "thinking": st.just({"type": "disabled"}),
    **ODD,
}
BODIES = st.sampled_from(Kind).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.fixed_dictionaries(
            {"model": st.just("m"), "max_tokens": st.just(5), **CARRIERS.get(kind, {})},
            optional=MORE,
        ),
    )
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(asked=BODIES, name=st.sampled_from([*ALL, "numbers", None]))
def test_no_body_that_is_let_through_makes_it_fail(counter, asked, name):
    kind, body = asked
    templates = {"numbers": None, **ALL}
    own = counter(vocabulary(qwen(), templates[name]) if name else None)
    raw = json.dumps(body).encode()
    prompt = read(kind, raw) if kind in SHAPES else None
    if isinstance(prompt, Prompt):
        found = asyncio.run(count(own, prompt.document, kind, len(raw)))
        assert found.tokens >= 1


async def test_threads_say_when_they_gave_up():
    threads = Threads(deadline_s=0.01)
    with pytest.raises(CountError):
        await threads.run(lambda _until_s: time.sleep(0.2), 5)
    threads.close()
