"""Personal data through a whole gateway: the engine never sees it, the caller always does."""

import json
import os
import re
import signal

import httpx
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.e2e.conftest import ACME, GLOBEX, events, wait_for
from tests.e2e.echoing import echoing
from tests.e2e.limits import limited
from tests.e2e.planted import CARD, KNOWN, MAIL, PHONE, RESIDENT, STRANGER

VALUES = (MAIL, PHONE, RESIDENT, CARD)
TEXT = "Mail {} or call {}; 身份证{}, 卡号{}已绑定。".format(*VALUES)
PII = {
    "key": {"env": "PII_KEY"},
    "rules": [{"tenants": ["acme"], "types": {"all": "mask"}}],
}
OUTBOUND = {
    "rules": [
        {"tenants": ["globex", "acme"], "types": ["email"], "action": "mask"},
        {"tenants": ["globex"], "types": ["bank_card"], "action": "cut"},
    ]
}
PLACEHOLDER = re.compile(r"<[A-Z_]+_[A-Z]{8}>")
TOOL = {"name": "f", "parameters": {"type": "object", "properties": {"to": {"type": "string"}}}}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A gateway before one engine that repeats what it is sent."""
    with (
        echoing() as engine,
        limited(
            tmp_path_factory.mktemp("pii"),
            flags=("--engine", engine.url, "--workers", "1"),
            env={**os.environ, "PII_KEY": "0123456789abcdef0123456789"},
            pii=PII,
            outbound=OUTBOUND,
        ) as gateway,
    ):
        yield gateway, engine


@pytest.fixture
def sdk(both):
    both[1].seen.clear()
    with OpenAI(base_url=f"{both[0].url}/v1", api_key=ACME, max_retries=0) as sdk:
        yield sdk


@pytest.fixture
def claude(both):
    both[1].seen.clear()
    with Anthropic(base_url=both[0].url, api_key=ACME, max_retries=0) as sdk:
        yield sdk


@pytest.fixture(autouse=True)
def unseen(both):
    """Whatever a test asks: no value is in what the engine was sent."""
    both[1].seen.clear()
    yield
    for body in both[1].seen:
        sent = json.loads(body)
        assert not [value for value in VALUES if value in json.dumps(sent, ensure_ascii=False)]


def say(text=TEXT):
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("text", [TEXT, f"{VALUES[0]}", f'是{VALUES[1]}吗\n"{VALUES[0]}"'])
def test_chats(both, sdk, text):
    plain = sdk.chat.completions.create(model="demo", messages=say(text))
    assert plain.choices[0].message.content == text
    stream = sdk.chat.completions.create(model="demo", messages=say(text), stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices) == text
    assert len(both[1].seen) == 2
    assert all(PLACEHOLDER.search(body) for body in both[1].seen)


def test_completions(sdk):
    plain = sdk.completions.create(model="demo", prompt=TEXT)
    assert plain.choices[0].text == TEXT
    stream = sdk.completions.create(model="demo", prompt=TEXT, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices) == TEXT


def test_messages(claude):
    plain = claude.messages.create(model="demo", max_tokens=99, messages=say())
    assert plain.content[0].text == TEXT
    with claude.messages.stream(model="demo", max_tokens=99, messages=say()) as stream:
        assert "".join(stream.text_stream) == TEXT
        assert stream.get_final_message().stop_reason == "end_turn"


def test_responses(sdk):
    assert sdk.responses.create(model="demo", input=TEXT, store=False).output_text == TEXT
    with sdk.responses.stream(model="demo", input=TEXT, store=False) as stream:
        found = list(stream)
        assert stream.get_final_response().output_text == TEXT
    deltas = [each.delta for each in found if each.type == "response.output_text.delta"]
    assert "".join(deltas) == TEXT
    assert [each.text for each in found if each.type == "response.output_text.done"] == [TEXT]
    assert [each.sequence_number for each in found if each.type.endswith(".delta")]


def test_arguments_of_calls(both, sdk, claude):
    text = f'"{VALUES[0]}"\n{VALUES[1]}'
    tools = [{"type": "function", "function": TOOL}]
    plain = sdk.chat.completions.create(model="demo", messages=say(text), tools=tools)
    (call,) = plain.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"to": text}
    stream = sdk.chat.completions.create(model="demo", messages=say(text), tools=tools, stream=True)
    deltas = [c.choices[0].delta for c in stream if c.choices]
    pieces = [d.tool_calls[0].function.arguments or "" for d in deltas if d.tool_calls]
    assert json.loads("".join(pieces)) == {"to": text}

    tools = [{"name": "f", "input_schema": TOOL["parameters"]}]
    plain = claude.messages.create(model="demo", max_tokens=99, messages=say(text), tools=tools)
    assert plain.content[0].input == {"to": text}
    with claude.messages.stream(
        model="demo", max_tokens=99, messages=say(text), tools=tools
    ) as stream:
        assert stream.get_final_message().content[0].input == {"to": text}

    tools = [{"type": "function", **TOOL}]
    plain = sdk.responses.create(model="demo", input=text, tools=tools, store=False)
    assert json.loads(plain.output[0].arguments) == {"to": text}
    assert len(both[1].seen) == 5


def test_another_tenants_placeholder_stays(both, sdk):
    sdk.chat.completions.create(model="demo", messages=say())
    (stolen, *_) = PLACEHOLDER.findall(both[1].seen[0])
    for key in (GLOBEX, ACME):
        ask = {"model": "demo", "messages": say(f"What is {stolen}? {VALUES[3]}")}
        with both[0].http(key) as http:
            said = http.post("/v1/chat/completions", json=ask if key == ACME else {
                **ask, "messages": say(f"What is {stolen}?")
            }).json()["choices"][0]["message"]["content"]  # fmt: skip
        assert stolen in said
        assert VALUES[0] not in said


def test_who_has_nothing_masked_has_his_answer_untouched(both):
    with both[0].http() as http:
        ask = {"model": "demo", "messages": say("nothing to see"), "stream": True}
        answer = http.post("/v1/chat/completions", json=ask)
    said = [c["delta"].get("content") or "" for e in events(answer.text) for c in e["choices"]]
    assert "".join(said) == "nothing to see"
    assert both[0].row(answer.headers["x-request-id"])["completion_tokens"] == 4


def test_a_killed_worker_shows_no_placeholder_as_an_answer(both):
    """It fails closed: the answer is cut, not passed on as it is."""
    gateway, engine = both
    engine.pause_s, got = 0.05, []
    try:
        with gateway.http() as http, pytest.raises(httpx.HTTPError):
            listen_and_kill(gateway, http, got)
    finally:
        engine.pause_s = 0.0
    said = b"".join(got)
    assert b"[DONE]" not in said
    texts = [c["delta"].get("content") or "" for e in whole_events(said) for c in e["choices"]]
    assert not PLACEHOLDER.search("".join(texts))
    wait_for(lambda: is_up(gateway), what="the next worker")


def listen_and_kill(gateway, http, got):
    ask = {"model": "demo", "messages": say(TEXT * 20), "stream": True}
    with http.stream("POST", "/v1/chat/completions", json=ask) as answer:
        for chunk in answer.iter_raw():
            if not got:
                kill_worker(gateway)
            got.append(chunk)


def whole_events(got):
    return events(got[: got.rfind(b"\n\n") + 2].decode())


def kill_worker(gateway):
    for status in (gateway.state / "run").glob("worker-*.json"):
        os.kill(json.loads(status.read_text())["pid"], signal.SIGKILL)


def is_up(gateway):
    with gateway.http() as http:
        ask = {"model": "demo", "messages": say("up?")}
        return http.post("/v1/chat/completions", json=ask).status_code == 200


# Outbound: nothing of globex is masked, and its answers may not tell what it did not send.


@pytest.fixture
def engine(both):
    yield both[1]
    both[1].words, both[1].pause_s = "", 0.0


def hear(both, text, *, stream):
    ask = {"model": "demo", "messages": say(text), "stream": stream}
    with both[0].http(GLOBEX) as http:
        return http.post("/v1/chat/completions", json=ask)


def spoken(answer):
    return "".join(
        c["delta"].get("content") or "" for e in events(answer.text) for c in e["choices"]
    )


def test_values_that_the_caller_did_not_send_are_masked(both, engine):
    engine.words = f"Ask {STRANGER} or {KNOWN['mail']}. " * 5
    shown = engine.words.replace(STRANGER, "[EMAIL]")
    asked = f"What of {KNOWN['mail'].upper()}?"
    assert spoken(hear(both, asked, stream=True)) == shown
    plain = hear(both, asked, stream=False).json()
    assert plain["choices"][0]["message"]["content"] == shown
    engine.seen.clear()


def test_a_cut_answer_ends_politely_and_stops_the_engine(both, engine):
    engine.words = f"The number is {VALUES[3]}. " + "and so on " * 40_000  # for ten minutes
    engine.pause_s = 0.005
    with OpenAI(base_url=f"{both[0].url}/v1", api_key=GLOBEX, max_retries=0) as sdk:
        stream = sdk.chat.completions.create(model="demo", messages=say("go"), stream=True)
        chunks = [chunk.choices[0] for chunk in stream if chunk.choices]
    assert "".join(each.delta.content or "" for each in chunks) == "The number is "
    assert chunks[-1].finish_reason == "content_filter"
    wait_for(lambda: not engine.streams, what="the engine to be stopped")
    engine.words = f"It is {VALUES[3]}, I think."
    plain = hear(both, "go", stream=False).json()["choices"][0]
    assert plain["message"]["content"] == "It is "


def test_a_message_is_cut_as_a_refusal(both, engine):
    engine.words = f"The number is {VALUES[3]}."
    with (
        Anthropic(base_url=both[0].url, api_key=GLOBEX, max_retries=0) as claude,
        claude.messages.stream(model="demo", max_tokens=99, messages=say("go")) as stream,
    ):
        assert "".join(stream.text_stream) == "The number is "
        assert stream.get_final_message().stop_reason == "refusal"


def test_a_fault_on_the_way_cuts_the_answer(both, engine):
    """A string that is longer than can be looked through: what is not looked at does not go out."""
    engine.words = f"{STRANGER} " + "x" * 8_100_000
    with pytest.raises(httpx.HTTPError):
        hear(both, "go", stream=False)
    engine.words = ""
    assert spoken(hear(both, "go", stream=True)) == "go"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("key", [ACME, GLOBEX])
def test_an_answer_that_nobody_can_read_does_not_pass(both, key, stream):
    """Whether values would be masked or the engine stopped, in the shape of each API."""
    body = {"model": "demo", "max_tokens": 9, "stream": stream}
    body |= {"messages": [{"role": "user", "content": "hi"}]}
    both[1].packs = True
    try:
        with both[0].http(key) as http:
            found = [
                http.post(f"/v1/{path}", json=body) for path in ("chat/completions", "messages")
            ]
    finally:
        both[1].packs = False
    assert [each.status_code for each in found] == [503, 503]
    assert found[0].json()["error"]["code"] == "engine_unavailable"
    assert found[1].json()["error"]["type"] == "overloaded_error"
    assert [len(each.headers.get_list("content-encoding")) for each in found] == [0, 0]
