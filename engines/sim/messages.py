"""Answers of /v1/messages, whole and as events, with vLLM's members in vLLM's order.

message_start            with the first token; its usage names the prompt whole
content_block_start
content_block_delta      one per token that has text
content_block_stop
message_delta            how it ended, and the usage: now the prompt in its three parts
message_stop
"""

from collections.abc import Iterator

import msgspec

from engines.sim.bodies import Head, Json, call_id, chat_finish
from engines.sim.refusal import RefusedError
from engines.sim.run import Run

_STOP = {"length": "max_tokens", "stop": "end_turn", "tool_calls": "tool_use"}


def message_body(head: Head, run: Run) -> bytes:
    words = run.choices[0].words
    how = {name: value for name, value in _how(run).items() if value is not None}
    text = "".join(words.pieces)
    block: Json = {"type": "text", "text": text}
    if words.call:
        block = {**_call_block(run), "input": _arguments(text)}
    return msgspec.json.encode(
        {
            "id": head.id,
            "type": "message",
            "role": "assistant",
            "content": [block],
            "model": head.model,
            **how,
            "usage": _usage(run),
        }
    )


def count_body(tokens: int) -> bytes:
    context: Json = {"original_input_tokens": tokens}
    return msgspec.json.encode({"input_tokens": tokens, "context_management": context})


def message_error(refused: RefusedError) -> bytes:
    error: Json = {"type": refused.kind, "message": refused.message}
    return msgspec.json.encode({"type": "error", "error": error})


def message_events(head: Head, run: Run) -> Iterator[tuple[int, bytes]]:
    """All events, each with the step (0 is the first token) at which it is due."""
    message: Json = {
        "id": head.id,
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": head.model,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": run.prompt_tokens, "output_tokens": 0},
    }
    yield 0, _event("message_start", {"message": message})
    pieces, call = run.choices[0].words.pieces, run.choices[0].words.call
    block: Json = _call_block(run) if call else {"type": "text", "text": ""}
    yield 0, _event("content_block_start", {"content_block": block, "index": 0})
    kind, member = ("input_json_delta", "partial_json") if call else ("text_delta", "text")
    for step, piece in enumerate(pieces):
        if piece:
            delta: Json = {"type": kind, member: piece}
            yield step, _event("content_block_delta", {"delta": delta, "index": 0})
    last = len(pieces) - 1
    yield last, _event("content_block_stop", {"index": 0})
    yield last, _event("message_delta", {"delta": _how(run), "usage": _usage(run)})
    yield last, _event("message_stop", {})


def _event(name: str, members: Json) -> bytes:
    data = msgspec.json.encode({"type": name, **members})
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def _how(run: Run) -> Json:
    words = run.choices[0].words
    reason = "stop_sequence" if words.stop_reason else _STOP[chat_finish(words)]
    return {"stop_reason": reason, "stop_sequence": words.stop_reason}


def _call_block(run: Run) -> Json:
    choice = run.choices[0]
    return {"type": "tool_use", "id": call_id(choice), "name": choice.words.call, "input": {}}


def _arguments(text: str) -> object:
    """What the client may rely on being an object, also when it was cut."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}


def _usage(run: Run) -> Json:
    """A prompt in three parts that do not overlap: new, read from the cache, written to it."""
    first = run.choices[0]
    return {
        "input_tokens": run.prompt_tokens - first.cached_tokens - first.created_tokens,
        "output_tokens": run.completion_tokens,
        "cache_creation_input_tokens": first.created_tokens,
        "cache_read_input_tokens": first.cached_tokens,
    }
