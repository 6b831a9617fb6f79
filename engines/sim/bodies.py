"""JSON answers: the members and the order of members that vLLM 0.32 writes, nulls included.

Written as literals, so that this file reads like what is sent.
"""

import base64
import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from engines.sim.answer import Words
from engines.sim.refusal import RefusedError
from engines.sim.request import Embedding, Operation
from engines.sim.run import Choice, Run, Settings
from engines.sim.tokens import pieces, token_id

FINGERPRINT = "sim-0.1"
DIMENSIONS = 64  # of a vector, unless the request says otherwise

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Head:
    """What every answer and every event begins with. `created` is in epoch seconds."""

    id: str
    created: int
    model: str


def usage(operation: Operation, run: Run, *, nulls: bool) -> Json:
    """The tokens of a whole request. Cached ones are the first choice's, as in vLLM.

    Only the chat side of vLLM says how many tokens the request added to the cache. The event of a
    stream leaves nulls out, a whole body has them.
    """
    first = run.choices[0]
    created_tokens = first.created_tokens if operation == "chat" else None
    details: Json = {
        "cached_tokens": first.cached_tokens,
        "created_cache_tokens": created_tokens,
        "multimodal_tokens": None,
    }
    told: Json = {
        "prompt_tokens": run.prompt_tokens,
        "total_tokens": run.prompt_tokens + run.completion_tokens,
        "completion_tokens": run.completion_tokens,
    }
    if nulls:
        return {**told, "prompt_tokens_details": details, "completion_tokens_details": None}
    known = {name: value for name, value in details.items() if value is not None}
    return {**told, "prompt_tokens_details": known}


def chat_body(head: Head, run: Run) -> bytes:
    return msgspec.json.encode(
        {
            "id": head.id,
            "object": "chat.completion",
            "created": head.created,
            "model": head.model,
            "choices": [_chat_choice(choice, run) for choice in run.choices],
            "service_tier": None,
            "system_fingerprint": FINGERPRINT,
            "usage": usage("chat", run, nulls=True),
            "prompt_logprobs": None,
            "prompt_token_ids": _prompt_ids(run) if run.tells_ids else None,
            "prompt_text": None,
            "kv_transfer_params": run.transfer,
            "ec_transfer_params": None,
            "metrics": None,
        }
    )


def completion_body(head: Head, run: Run) -> bytes:
    return msgspec.json.encode(
        {
            "id": head.id,
            "object": "text_completion",
            "created": head.created,
            "model": head.model,
            "choices": [_completion_choice(choice) for choice in run.choices],
            "service_tier": None,
            "system_fingerprint": FINGERPRINT,
            "usage": usage("completions", run, nulls=True),
            "kv_transfer_params": run.transfer,
            "ec_transfer_params": None,
            "metrics": None,
        }
    )


def embedding_body(head: Head, request: Embedding) -> bytes:
    dimensions = request.dimensions or DIMENSIONS
    tokens = sum(prompt.tokens for prompt in request.prompts)
    vectors = [vector(prompt.text, dimensions) for prompt in request.prompts]
    return msgspec.json.encode(
        {
            "id": head.id,
            "object": "list",
            "created": head.created,
            "model": head.model,
            "data": [
                {
                    "index": index,
                    "object": "embedding",
                    "embedding": _base64(numbers) if request.base64 else numbers,
                }
                for index, numbers in enumerate(vectors)
            ],
            "usage": {
                "prompt_tokens": tokens,
                "total_tokens": tokens,
                "completion_tokens": 0,
                "prompt_tokens_details": None,
                "completion_tokens_details": None,
            },
        }
    )


def models_body(settings: Settings, created: int, adapters: Iterable[str] = ()) -> bytes:
    parents = {**dict.fromkeys(settings.models), **dict.fromkeys(adapters, settings.models[0])}
    cards = [
        {
            "id": model,
            "object": "model",
            "created": created,
            "owned_by": "vllm",
            "root": model,
            "parent": parent,
            "max_model_len": None if parent else settings.max_model_len,
            "permission": [
                {
                    "id": f"modelperm-{model}",
                    "object": "model_permission",
                    "created": created,
                    "allow_create_engine": False,
                    "allow_sampling": True,
                    "allow_logprobs": True,
                    "allow_search_indices": False,
                    "allow_view": True,
                    "allow_fine_tuning": False,
                    "organization": "*",
                    "group": None,
                    "is_blocking": False,
                }
            ],
        }
        for model, parent in parents.items()
    ]
    return msgspec.json.encode({"object": "list", "data": cards})


def tokenize_body(text: str, max_model_len: int, *, with_pieces: bool) -> bytes:
    found = pieces(text)
    return msgspec.json.encode(
        {
            "count": len(found),
            "max_model_len": max_model_len,
            "tokens": [token_id(piece) for piece in found],
            "token_strs": found if with_pieces else None,
        }
    )


def error_body(refused: RefusedError) -> bytes:
    return msgspec.json.encode(
        {
            "error": {
                "message": refused.message,
                "type": refused.kind,
                "param": refused.param,
                "code": refused.status,
            }
        }
    )


def vector(text: str, dimensions: int) -> list[float]:
    """A direction of length 1, decided by the text alone; other texts give unrelated ones."""
    drawn = hashlib.shake_128(text.encode()).digest(4 * dimensions)
    raw = [number / 2**31 for number in struct.unpack(f"<{dimensions}i", drawn)]
    length = sum(number * number for number in raw) ** 0.5 or 1.0
    return [number / length for number in raw]


def _base64(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def chat_finish(words: Words) -> str:
    """An answer that calls a tool ends with that, if it came to its end."""
    return "tool_calls" if words.call and words.finish_reason == "stop" else words.finish_reason


def call_id(choice: Choice) -> str:
    """Decided by the answer, so that it is the same whole and streamed."""
    said = "\0".join((choice.words.call, str(choice.index), *choice.words.pieces))
    return "chatcmpl-tool-" + hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


def _chat_choice(choice: Choice, run: Run) -> Json:
    words = choice.words
    text = "".join(words.pieces)
    function: Json = {"name": words.call, "arguments": text}
    call: Json = {"id": call_id(choice), "type": "function", "function": function}
    return {
        "index": choice.index,
        "message": {
            "role": "assistant",
            "content": "" if words.call else text,
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
            **({"tool_calls": [call]} if words.call else {}),
            "reasoning": None,
        },
        "logprobs": None,
        "finish_reason": chat_finish(words),
        "stop_reason": choice.words.stop_reason,
        "token_ids": [token_id(piece) for piece in words.pieces] if run.tells_ids else None,
        "routed_experts": None,
    }


def _prompt_ids(run: Run) -> list[int]:
    return [token_id(piece) for piece in pieces(run.choices[0].prompt.text)]


def _completion_choice(choice: Choice) -> Json:
    return {
        "index": choice.index,
        "text": "".join(choice.words.pieces),
        "logprobs": None,
        "finish_reason": choice.words.finish_reason,
        "stop_reason": choice.words.stop_reason,
        "token_ids": None,
        "prompt_logprobs": None,
        "prompt_token_ids": None,
        "routed_experts": None,
    }
