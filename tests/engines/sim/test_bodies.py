import base64
import json
import struct
from typing import Any

import pytest

from engines.sim import bodies
from engines.sim.engine import Run, Settings, SimEngine
from engines.sim.refusal import RefusedError
from engines.sim.request import Reader

HEAD = bodies.Head("an-id", 1_700_000_000, "tiny")
SETTINGS = Settings(models=("tiny", "alias"), max_model_len=4096)
ENGINE = SimEngine(SETTINGS)
READER = Reader(SETTINGS.models, ENGINE.tokenizer, 4096)


def chat_run(**members: object) -> Run:
    body = {"messages": [{"role": "user", "content": "one two"}], "max_tokens": 3, **members}
    return SimEngine(SETTINGS).start(READER.chat(json.dumps(body).encode()), 0.0)


def test_a_chat_answer_as_vllm_writes_it():
    assert json.dumps(json.loads(bodies.chat_body(HEAD, chat_run()))) == json.dumps(
        {
            "id": "an-id",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "tiny",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": "until door begin",
                        "refusal": None,
                        "annotations": None,
                        "audio": None,
                        "function_call": None,
                        "reasoning": None,
                    },
                    "logprobs": None,
                    "finish_reason": "length",
                    "stop_reason": None,
                    "token_ids": None,
                    "routed_experts": None,
                }
            ],
            "service_tier": None,
            "system_fingerprint": "sim-0.1",
            "usage": {
                "prompt_tokens": 5,
                "total_tokens": 8,
                "completion_tokens": 3,
                "prompt_tokens_details": {
                    "cached_tokens": 0,
                    "created_cache_tokens": 0,
                    "multimodal_tokens": None,
                },
                "completion_tokens_details": None,
            },
            "prompt_logprobs": None,
            "prompt_token_ids": None,
            "prompt_text": None,
            "kv_transfer_params": None,
            "ec_transfer_params": None,
            "metrics": None,
        }
    )


def test_a_completion_as_vllm_writes_it():
    request = READER.completion(b'{"prompt":"one two","max_tokens":3}')
    run = SimEngine(SETTINGS).start(request, 0.0)
    assert json.dumps(json.loads(bodies.completion_body(HEAD, run))) == json.dumps(
        {
            "id": "an-id",
            "object": "text_completion",
            "created": 1_700_000_000,
            "model": "tiny",
            "choices": [
                {
                    "index": 0,
                    "text": " follow wheel teach",
                    "logprobs": None,
                    "finish_reason": "length",
                    "stop_reason": None,
                    "token_ids": None,
                    "prompt_logprobs": None,
                    "prompt_token_ids": None,
                    "routed_experts": None,
                }
            ],
            "service_tier": None,
            "system_fingerprint": "sim-0.1",
            "usage": {
                "prompt_tokens": 2,
                "total_tokens": 5,
                "completion_tokens": 3,
                "prompt_tokens_details": {
                    "cached_tokens": 0,
                    "created_cache_tokens": None,
                    "multimodal_tokens": None,
                },
                "completion_tokens_details": None,
            },
            "kv_transfer_params": None,
            "ec_transfer_params": None,
            "metrics": None,
        }
    )


def test_usage_counts_the_prompt_once_and_all_choices():
    told = bodies.usage("chat", chat_run(n=3), nulls=False)
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (5, 9, 14)


def embedding(**members: object) -> dict[str, Any]:
    request = READER.embedding(json.dumps({"input": "one two", **members}).encode())
    body: dict[str, Any] = json.loads(bodies.embedding_body(HEAD, request))
    return body


def test_an_embedding():
    body = embedding(input=["one two", "three"])
    assert list(body) == ["id", "object", "created", "model", "data", "usage"]
    assert [list(item) for item in body["data"]] == [["index", "object", "embedding"]] * 2
    assert [item["index"] for item in body["data"]] == [0, 1]
    assert body["usage"] == {
        "prompt_tokens": 3,
        "total_tokens": 3,
        "completion_tokens": 0,
        "prompt_tokens_details": None,
        "completion_tokens_details": None,
    }


@pytest.mark.parametrize(("asked", "dimensions"), [(None, bodies.DIMENSIONS), (1, 1), (1024, 1024)])
def test_vectors_have_length_1(asked: int | None, dimensions: int):
    numbers = embedding(dimensions=asked)["data"][0]["embedding"]
    assert len(numbers) == dimensions
    assert sum(number * number for number in numbers) == pytest.approx(1)


def test_vectors_are_decided_by_the_text():
    assert embedding() == embedding()
    assert embedding(input="a")["data"] != embedding(input="b")["data"]


def test_base64_is_the_same_vector():
    packed = base64.b64decode(embedding(encoding_format="base64")["data"][0]["embedding"])
    numbers = struct.unpack(f"<{bodies.DIMENSIONS}f", packed)
    assert numbers == pytest.approx(embedding()["data"][0]["embedding"], rel=1e-6)


def test_models():
    body = json.loads(bodies.models_body(SETTINGS, 5))
    assert body["object"] == "list"
    assert [card["id"] for card in body["data"]] == ["tiny", "alias"]
    assert list(body["data"][0]) == [
        *("id", "object", "created", "owned_by", "root", "parent", "max_model_len", "permission")
    ]


def test_tokens():
    body = json.loads(bodies.tokenize_body("Hi, hi", 4096, with_pieces=True))
    assert list(body) == ["count", "max_model_len", "tokens", "token_strs"]
    assert (body["count"], len(body["tokens"])) == (3, 3)
    assert body["token_strs"] == ["Hi", ",", " hi"]
    assert json.loads(bodies.tokenize_body("Hi", 4096, with_pieces=False))["token_strs"] is None


def test_an_error_as_vllm_writes_it():
    body = bodies.error_body(RefusedError.unknown_model("x", ("tiny",)))
    assert json.dumps(json.loads(body)) == json.dumps(
        {
            "error": {
                "message": "The model `x` does not exist. Valid aliases: tiny.",
                "type": "NotFoundError",
                "param": "model",
                "code": 404,
            }
        }
    )
