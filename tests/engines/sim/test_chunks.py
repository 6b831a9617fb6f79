import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.sim.bodies import Head
from engines.sim.chunks import Stream
from engines.sim.engine import Settings, SimEngine
from engines.sim.request import Reader, Usage
from engines.sim.tokens import count

HEAD = Head('id"1', 1_700_000_000, "tiny")


def stream(
    usage: Usage, *, operation: str = "chat", **members: object
) -> list[tuple[int, dict[str, Any] | str]]:
    engine = SimEngine(Settings())
    reader = Reader(engine.settings.models, engine.tokenizer, 4096)
    if operation == "chat":
        body = {"messages": [{"role": "user", "content": "one two"}], **members}
        request = reader.chat(json.dumps(body).encode())
    else:
        request = reader.completion(json.dumps({"prompt": "one two", **members}).encode())
    events = Stream(request.operation, HEAD, engine.start(request, 0.0), usage).events()
    return [(step, parse(event)) for step, event in events]


def parse(event: bytes) -> dict[str, Any] | str:
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    data = event[6:-2].decode()
    return data if data == "[DONE]" else json.loads(data)


def bodies(events: list[tuple[int, dict[str, Any] | str]]) -> list[dict[str, Any]]:
    return [body for _, body in events if not isinstance(body, str)]


BEGINNING = {
    "id": 'id"1',
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": "tiny",
}
NO_TOKENS = {"prompt_tokens": 5, "total_tokens": 5, "completion_tokens": 0, "completion_tokens_details": None}  # fmt: skip


def ordered(body: object) -> str:
    """JSON text, so that the order of members is compared too."""
    return json.dumps(body)


def test_a_chat_stream_as_vllm_writes_it():
    role, first, last, done = (body for _, body in stream(Usage.NONE, max_tokens=2))
    none = {"logprobs": None, "finish_reason": None}
    assert ordered(role) == ordered(
        BEGINNING
        | {
            "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, **none}],
            "prompt_token_ids": None,
            "prompt_text": None,
        }
    )
    assert ordered(first) == ordered(
        BEGINNING
        | {"choices": [{"index": 0, "delta": {"content": "until"}, **none, "token_ids": None}]}
    )
    assert ordered(last) == ordered(
        BEGINNING
        | {
            "choices": [
                {
                    "index": 0,
                    "delta": {"content": " door"},
                    "logprobs": None,
                    "finish_reason": "length",
                    "stop_reason": None,
                    "token_ids": None,
                }
            ],
            "system_fingerprint": "sim-0.1",
        }
    )
    assert done == "[DONE]"


def test_continuous_usage_is_in_every_event_and_whole_at_the_end():
    role, first, last, total, done = (body for _, body in stream(Usage.CONTINUOUS, max_tokens=2))
    assert isinstance(role, dict)
    assert ordered(role["usage"]) == ordered(NO_TOKENS)
    assert list(role) == [*BEGINNING, "choices", "usage", "prompt_token_ids", "prompt_text"]
    for completion_tokens, body in enumerate((first, last), 1):
        assert isinstance(body, dict)
        told = {"total_tokens": 5 + completion_tokens, "completion_tokens": completion_tokens}
        assert ordered(body["usage"]) == ordered(NO_TOKENS | told)
        assert list(body) == [*BEGINNING, "choices", "usage"]
    assert ordered(total) == ordered(
        BEGINNING
        | {
            "choices": [],
            "usage": {
                "prompt_tokens": 5,
                "total_tokens": 7,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 0, "created_cache_tokens": 0},
            },
            "system_fingerprint": "sim-0.1",
        }
    )
    assert done == "[DONE]"


def test_last_usage_comes_once_with_the_fingerprint():
    events = bodies(stream(Usage.LAST, max_tokens=3))
    assert ["usage" in body for body in events] == [False] * 4 + [True]
    assert ["system_fingerprint" in body for body in events] == [False] * 4 + [True]


def test_a_completion_stream_as_vllm_writes_it():
    events = stream(Usage.CONTINUOUS, operation="completions", max_tokens=2)
    first, last, total, done = (body for _, body in events)
    beginning = BEGINNING | {"object": "text_completion"}
    ending = {"stop_reason": None, "prompt_token_ids": None, "token_ids": None}
    for completion_tokens, body, text, reason in (
        (1, first, " follow", None),
        (2, last, " wheel", "length"),
    ):
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason, **ending}
        usage = {
            "prompt_tokens": 2,
            "total_tokens": 2 + completion_tokens,
            "completion_tokens": completion_tokens,
        }
        assert ordered(body) == ordered(beginning | {"choices": [choice], "usage": usage})
    assert ordered(total) == ordered(
        beginning
        | {
            "choices": [],
            "usage": {
                "prompt_tokens": 2,
                "total_tokens": 4,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
            "system_fingerprint": "sim-0.1",
        }
    )
    assert done == "[DONE]"


def test_every_event_has_the_step_at_which_it_is_due():
    events = stream(Usage.LAST, max_tokens=3, n=2)
    assert [step for step, _ in events] == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
    indices = [body["choices"][0]["index"] for body in bodies(events)[:-1]]
    assert indices == [0, 1] * 4


def test_the_end_of_text_has_no_text():
    last = bodies(stream(Usage.NONE))[-1]["choices"][0]
    assert (last["delta"], last["finish_reason"]) == ({"content": ""}, "stop")


def test_a_stop_string_is_told():
    words = [body["choices"][0]["delta"]["content"] for body in bodies(stream(Usage.NONE))]
    stop = words[3].strip()
    last = bodies(stream(Usage.NONE, stop=stop))[-1]["choices"][0]
    assert (last["finish_reason"], last["stop_reason"]) == ("stop", stop)


@settings(deadline=None)
@given(
    operation=st.sampled_from(["chat", "completions"]),
    n=st.integers(1, 3),
    max_tokens=st.integers(1, 100),
    seed=st.integers(0, 50),
    ignore_eos=st.booleans(),
    stop=st.sampled_from([None, ",", "e", [".", " the"]]),
)
def test_the_events_add_up_to_the_usage(operation: str, stop: object, **members: Any):
    events = bodies(stream(Usage.CONTINUOUS, operation=operation, stop=stop, **members))

    generated = dict.fromkeys(range(members["n"]), 0)
    texts = dict.fromkeys(range(members["n"]), "")
    reasons: dict[int, str] = {}
    for body in events[:-1]:
        (choice,) = body["choices"]
        index = choice["index"]
        assert index not in reasons, "an event after the last one of its choice"
        delta = choice.get("delta", choice)
        if "role" not in delta:
            generated[index] += 1
        texts[index] += delta.get("content", "") or delta.get("text", "")
        assert body["usage"]["completion_tokens"] == generated[index]
        if choice["finish_reason"] is not None:
            reasons[index] = choice["finish_reason"]
            assert choice["finish_reason"] in ("stop", "length")
            if choice["stop_reason"] is None:
                shown = count(texts[index]) + (choice["finish_reason"] == "stop")
                assert shown == generated[index]

    usage = events[-1]["usage"]
    assert events[-1]["choices"] == []
    assert len(reasons) == members["n"]
    assert usage["completion_tokens"] == sum(generated.values())
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("operation", ["chat", "completions"])
def test_a_huge_word_is_one_event(operation: str):
    order = {"fault": "huge:300000"}
    events = bodies(stream(Usage.CONTINUOUS, operation=operation, max_tokens=2, x_sim=order))
    sizes = [len(json.dumps(body)) for body in events]
    assert [size > 300_000 for size in sizes].count(True) == 1
    assert events[-1]["usage"]["completion_tokens"] == 2
