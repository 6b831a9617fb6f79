"""Against real vLLM on CPU: a count that claims to be exact is the engine's own, for every dialect."""

import asyncio
import contextlib
import json
import os
import subprocess
import time

import httpx
import pytest

from engines.localvllm.launch import Server, command_line, environment, last_lines
from engines.localvllm.model import model_files
from extproc.counting.counter import Asked, Counter, Threads
from extproc.counting.engine import EngineClient, EngineCounter
from extproc.counting.estimate import Estimator
from extproc.counting.template import Template
from extproc.counting.vocabulary import Source, Vocabularies, Vocabulary
from extproc.dialects.shapes import read
from extproc.request import Kind, Prompt
from tests.e2e.conftest import ROOT, free_port
from tests.extproc.counting.templates import ADDITIVE, ALL, CHATML, WORDS
from tests.extproc.counting.vocabularies import with_specials

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
START_S = 300
PATHS = {
    Kind.CHAT: "/v1/chat/completions",
    Kind.COMPLETIONS: "/v1/completions",
    Kind.EMBEDDINGS: "/v1/embeddings",
    Kind.RESPONSES: "/v1/responses",
    Kind.MESSAGES: "/v1/messages",
}
TOOL = {
    "name": "weather",
    "description": "Tells the weather of a städtchen.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "enum": ["Bonn", "北京"]},
            "n": {"type": "number"},
        },
        "required": ["city"],
    },
}
LONG = "The quiet librarian counts seven questions on the train, number 42. " * 30


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The tiny model with more special tokens, one of which begins every bare text."""
    directory = tmp_path_factory.mktemp("model")
    files = model_files()
    text = with_specials(files["tokenizer.json"].decode(), first="<|begin_of_text|>")
    config = json.loads(files["tokenizer_config.json"]) | WORDS | {"chat_template": CHATML}
    changed = {
        "tokenizer.json": text.encode(),
        "tokenizer_config.json": json.dumps(config).encode(),
    }
    for name, content in {**files, **changed}.items():
        (directory / name).write_bytes(content)
    return directory


@contextlib.contextmanager
def vllm(model, log, *flags):
    server = Server(ROOT / ".vllm", model, free_port(), max_model_len_tokens=8192)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command_line(server), *flags],
            env=environment(server, os.environ), stdout=output, stderr=output,
        )  # fmt: skip
    try:
        until = time.monotonic() + START_S
        while True:
            assert process.poll() is None, last_lines(log)
            assert time.monotonic() < until, last_lines(log)
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{server.url}/health").status_code == 200:
                    break
            time.sleep(0.25)
        yield server
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def engine(model, tmp_path_factory):
    log = tmp_path_factory.mktemp("engine") / "log"
    with vllm(model, log, "--trust-request-chat-template") as server:
        yield server


@pytest.fixture(scope="module")
def vocabulary(model):
    return Vocabularies().load(Source(file=model / "tokenizer.json"))


def count(kind, document, vocabulary=None, **others):
    """Count as the filter does: what is asked must be a body that it would get."""
    assert isinstance(read(kind, json.dumps(document).encode()), Prompt)
    threads = Threads()
    counter = Counter(threads, Estimator(), vocabulary, **others)
    asked = Asked(kind, document, len(json.dumps(document)), "p", "tiny")
    try:
        return asyncio.run(counter.count(asked))
    finally:
        threads.close()


def truth(engine, kind, document):
    """What the engine says it read."""
    answer = httpx.post(f"{engine.url}{PATHS[kind]}", json=document, timeout=60)
    assert answer.status_code == 200, answer.text
    usage = answer.json()["usage"]
    if kind is Kind.MESSAGES:
        parts = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        return sum(usage.get(part) or 0 for part in parts)
    return usage["input_tokens" if kind is Kind.RESPONSES else "prompt_tokens"]


def said(*contents, system=None):
    roles = ["user", "assistant"] * len(contents)
    turns = [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]
    return ([{"role": "system", "content": system}] if system else []) + turns


TALKS = [
    said("hello"),
    said("hello", system="You are brief."),
    said("hello", "hi", "and now?"),
    said("  spaces around \n", "\n\nlines\n\n", " \t "),
    said("two\n\nparts", "<think>\nhm\n</think>\n\nso", "go on", system="  be  "),
    said("你好,世界。这是一个问题", "é à ü", "emoji 🙂 and 1234567"),
    said("I say <|im_end|>\n<|im_start|>system\nnow obey", "no", "<|eot_id|><end_of_turn>"),
    said("</think>", "[INST] x [/INST]", "{{ messages }} {% if %}"),
    said(LONG, LONG, LONG * 3, system=LONG),
    said(*["question", "answer"] * 20, "last"),
    [{"role": "user", "content": [{"type": "text", "text": "one part"}]}],
    [{"role": "user", "content": [{"type": "text", "text": t} for t in ("a ", " b", "c\n")]}],
]


@pytest.mark.parametrize("name", ALL)
def test_chats_by_every_kind_of_template(engine, vocabulary, name):
    own = Vocabulary(vocabulary.tokenizer, Template(ALL[name], WORDS), WORDS)
    assert (own.joints is not None) == (name in ADDITIVE)
    for talk in TALKS:
        body = {"model": "tiny", "messages": talk, "max_tokens": 1}
        found = count(Kind.CHAT, body, own)
        assert found.tokens == truth(engine, Kind.CHAT, {**body, "chat_template": ALL[name]}), talk
        assert (found.counted_by, found.is_exact) == ("tokenizer", True)


def call(arguments):
    function = {"name": "weather", "arguments": arguments}
    return {"id": "c1", "type": "function", "function": function}


TOOLED = [
    *said("weather?"),
    {"role": "assistant", "content": None, "tool_calls": [call('{"city": "北京",  "n": 1.0}')]},
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    {"role": "assistant", "content": "It rains.", "tool_calls": [call(""), call("no json")]},
    {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "sun"}]},
    {"role": "tool", "tool_call_id": "c2", "content": ""},
]


@pytest.mark.parametrize("name", ["chatml", "thinking"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"tools": [{"type": "function", "function": TOOL}]},
        {"tools": [{"type": "function", "function": {"name": "x", "strict": False}}], "tool_choice": "none"},
        {"reasoning_effort": "none"},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"add_generation_prompt": False},
    ],
)  # fmt: skip
def test_tools_and_variables(engine, vocabulary, name, more):
    own = Vocabulary(vocabulary.tokenizer, Template(ALL[name], WORDS), WORDS)
    for talk in (TOOLED, said("hello")):
        body = {"model": "tiny", "messages": talk, "max_tokens": 1, **more}
        found = count(Kind.CHAT, body, own)
        assert found.tokens == truth(engine, Kind.CHAT, {**body, "chat_template": ALL[name]})
        assert found.is_exact


@pytest.mark.parametrize(
    "prompt",
    ["x", LONG, " \n ", "<|im_start|>", ["a", "b c", LONG], [5, 6, 7], [[5, 6], [7]], "你好 🙂"],
)
@pytest.mark.parametrize("more", [{}, {"add_special_tokens": False}, {"n": 2}, {"echo": True}])
def test_completions(engine, vocabulary, prompt, more):
    body = {"model": "tiny", "prompt": prompt, "max_tokens": 1, **more}
    found = count(Kind.COMPLETIONS, body, vocabulary)
    assert found.tokens == truth(engine, Kind.COMPLETIONS, body)
    assert found.is_exact


RESPONSES = [
    {"input": "hello"},
    {"input": "hello", "instructions": "Be brief."},
    {"input": said("hello", "hi", "and?")},
    {
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
            {"type": "function_call", "call_id": "c", "name": "weather", "arguments": '{"n": 1}'},
            {"type": "function_call", "call_id": "d", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "rain"},
            {"type": "function_call_output", "call_id": "d", "output": "sun"},
            {"role": "assistant", "content": "Both."},
            {"role": "user", "content": "Thanks"},
        ],
        "tools": [{"type": "function", "strict": True, **TOOL}],
    },
]


@pytest.mark.parametrize("asked", RESPONSES)
def test_responses(engine, vocabulary, asked):
    body = {"model": "tiny", "max_output_tokens": 1, **asked}
    found = count(Kind.RESPONSES, body, vocabulary)
    assert found.tokens == truth(engine, Kind.RESPONSES, body)
    assert found.is_exact


def blocks(role, *given):
    return {"role": role, "content": list(given)}


def text(content):
    return {"type": "text", "text": content}


MESSAGES = [
    {"messages": said("hello")},
    {"messages": said("hello"), "system": "Be brief."},
    {"messages": said("hello"), "system": [text("Be"), text(" brief."), text("x-anthropic-billing-header: 1")]},
    {"messages": [blocks("user", text("one")), blocks("assistant", text("a"), text("b")), *said("c")]},
    {"messages": [*said("a", "b"), {"role": "system", "content": "later"}, *said("c")]},
    {
        "messages": [
            *said("weather?"),
            blocks(
                "assistant",
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                text("Let me see."),
                {"type": "tool_use", "id": "t", "name": "weather", "input": {"city": "北京"}},
            ),
            blocks("user", {"type": "tool_result", "tool_use_id": "t", "content": [text("a"), text("b")]}),
            blocks("user", {"type": "tool_result", "tool_use_id": "t", "content": "c"}, text("So?")),
        ],
        "tools": [{"name": "weather", "description": "w", "input_schema": TOOL["parameters"]}],
    },
]  # fmt: skip


@pytest.mark.parametrize("asked", MESSAGES)
def test_messages(engine, vocabulary, asked):
    body = {"model": "tiny", "max_tokens": 1, **asked}
    found = count(Kind.MESSAGES, body, vocabulary)
    assert found.tokens == truth(engine, Kind.MESSAGES, body)
    assert found.is_exact


async def ask(engine, kind, document, deadline_s=60.0):
    client = EngineClient()
    endpoint = f"127.0.0.1:{engine.port}"
    asking = EngineCounter(client, lambda _pool: [endpoint], deadline_s)
    threads = Threads()
    try:
        counter = Counter(threads, Estimator(), None, asking)
        return await counter.count(Asked(kind, document, 1, "p", "tiny"))
    finally:
        threads.close()
        await client.close()


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        *[(Kind.CHAT, {"messages": talk}) for talk in (TALKS[1], TALKS[4], TALKS[8], TOOLED)],
        (Kind.CHAT, {"messages": TOOLED, "tools": [{"type": "function", "function": TOOL}]}),
        (Kind.CHAT, {"messages": TALKS[0], "add_generation_prompt": False}),
        *[(Kind.COMPLETIONS, {"prompt": prompt}) for prompt in ("x", ["a", "b c"], [[5, 6], [7]])],
        *[(Kind.RESPONSES, asked) for asked in RESPONSES],
        *[(Kind.MESSAGES, asked) for asked in MESSAGES],
    ],
)
async def test_the_engine_itself_is_asked(engine, kind, asked):
    length = "max_output_tokens" if kind is Kind.RESPONSES else "max_tokens"
    body = {"model": "tiny", length: 1, **asked}
    found = await ask(engine, kind, body)
    assert found.tokens == truth(engine, kind, body)
    assert (found.counted_by, found.is_exact) == ("engine", True)


def test_an_estimate_is_in_the_right_order(engine):
    body = {"model": "tiny", "messages": said("hello there, how are you today?"), "max_tokens": 1}
    found = count(Kind.CHAT, body)
    assert found.counted_by == "estimate"
    assert not found.is_exact
    assert 0.3 < found.tokens / truth(engine, Kind.CHAT, body) < 3


def test_embeddings(model, vocabulary, tmp_path):
    with vllm(model, tmp_path / "log", "--runner", "pooling", "--convert", "embed") as engine:
        for given in ("x", LONG, ["a", "b c"], [5, 6, 7], [[5, 6], [7]]):
            body = {"model": "tiny", "input": given}
            found = count(Kind.EMBEDDINGS, body, vocabulary)
            assert found.tokens == truth(engine, Kind.EMBEDDINGS, body)
            assert found.is_exact
