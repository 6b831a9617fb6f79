"""A kept answer in the words of its API: as JSON, or as a stream of a few events."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from extproc.cache.answer import Answer
from extproc.dialects.ending import sse
from extproc.request import Kind

PIECES = 8
"""Most pieces that a text is streamed in: clients show one as soon as it comes, and all come at once."""
LEAST_CHARS = 40

PREFIXES: Mapping[Kind, str] = {
    Kind.CHAT: "chatcmpl-",
    Kind.COMPLETIONS: "cmpl-",
    Kind.MESSAGES: "msg_",
    Kind.RESPONSES: "resp_",
}
CHUNK = {Kind.CHAT: "chat.completion.chunk", Kind.COMPLETIONS: "text_completion"}
WHOLE = {Kind.CHAT: "chat.completion", Kind.COMPLETIONS: "text_completion"}


class Form(msgspec.Struct, frozen=True):
    """How it is wanted."""

    key: str
    """Makes the id of this answer, which no other has."""
    made_s: int
    """When the text was made: seconds since the epoch."""
    stream: bool = False
    wants_usage: bool = False


def write(answer: Answer, form: Form) -> bytes:
    """Write it. All of a stream is one body: it goes out at once."""
    if form.stream:
        return b"".join(write_events(answer, form))
    match answer.kind:
        case Kind.MESSAGES:
            return msgspec.json.encode(message_of(answer, form))
        case Kind.RESPONSES:
            return msgspec.json.encode(response_of(answer, form))
        case _:
            return msgspec.json.encode(choices_of(answer, form))


def write_events(answer: Answer, form: Form) -> Sequence[bytes]:
    match answer.kind:
        case Kind.MESSAGES:
            return message_events(answer, form)
        case Kind.RESPONSES:
            return response_events(answer, form)
        case _:
            return choice_events(answer, form)


def content_type(form: Form) -> str:
    return "text/event-stream; charset=utf-8" if form.stream else "application/json"


def id_of(answer: Answer, form: Form) -> str:
    return PREFIXES[answer.kind] + form.key


def usage_of(answer: Answer) -> Mapping[str, Any]:
    prompt, completion = answer.prompt_tokens, answer.completion_tokens
    if answer.kind is Kind.MESSAGES:
        return {"input_tokens": prompt, "output_tokens": completion}
    if answer.kind is Kind.RESPONSES:
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + completion,
        }
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def cut(text: str) -> Sequence[str]:
    size = max(LEAST_CHARS, -(-len(text) // PIECES))
    return [text[start : start + size] for start in range(0, len(text), size)]


def choices_of(answer: Answer, form: Form) -> Mapping[str, Any]:
    choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": answer.finish}
    if answer.kind is Kind.CHAT:
        said = {answer.reasoning_name: answer.reasoning} if answer.reasoning else {}
        choice["message"] = {"role": "assistant", "content": answer.text, **said}
    else:
        choice["text"] = answer.text
    head = begin_choices(answer, form, WHOLE[answer.kind])
    return {**head, "choices": [choice], "usage": usage_of(answer)}


def begin_choices(answer: Answer, form: Form, name: str) -> Mapping[str, Any]:
    return {
        "id": id_of(answer, form),
        "object": name,
        "created": form.made_s,
        **answer.head,
    }


def choice_events(answer: Answer, form: Form) -> Sequence[bytes]:
    head = begin_choices(answer, form, CHUNK[answer.kind])

    def chunk(said: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": finish}
        return sse({**head, "choices": [choice]})

    if answer.kind is Kind.CHAT:
        events = [chunk({"delta": {"role": "assistant", "content": ""}})]
        if answer.reasoning:
            pieces = cut(answer.reasoning)
            events += [chunk({"delta": {answer.reasoning_name: piece}}) for piece in pieces]
        events += [chunk({"delta": {"content": piece}}) for piece in cut(answer.text)]
        events.append(chunk({"delta": {}}, answer.finish))
    else:
        events = [chunk({"text": piece}) for piece in cut(answer.text)]
        events.append(chunk({"text": ""}, answer.finish))
    if form.wants_usage:
        events.append(sse({**head, "choices": [], "usage": usage_of(answer)}))
    return [*events, b"data: [DONE]\n\n"]


def message_of(answer: Answer, form: Form) -> Mapping[str, Any]:
    return {
        "id": id_of(answer, form),
        "type": "message",
        "role": "assistant",
        **answer.head,
        "content": [{"type": "text", "text": answer.text}],
        "stop_reason": answer.finish,
        "stop_sequence": None,
        "usage": usage_of(answer),
    }


def message_events(answer: Answer, form: Form) -> Sequence[bytes]:
    usage = usage_of(answer)
    empty: Mapping[str, Any] = {
        **message_of(answer, form),
        "content": [],
        "stop_reason": None,
        "usage": {**usage, "output_tokens": 0},
    }

    def event(name: str, **said: object) -> bytes:
        return sse({"type": name, **said}, name)

    ended = {"stop_reason": answer.finish, "stop_sequence": None}
    return [
        event("message_start", message=empty),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            for piece in cut(answer.text)
        ),
        event("content_block_stop", index=0),
        event("message_delta", delta=ended, usage=usage),
        event("message_stop"),
    ]


def part_of(text: str) -> Mapping[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def item_of(answer: Answer, form: Form, status: str) -> Mapping[str, Any]:
    return {
        "id": f"msg_{form.key}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [part_of(answer.text)] if status == "completed" else [],
    }


def response_of(answer: Answer, form: Form, status: str = "completed") -> Mapping[str, Any]:
    done = status == "completed"
    return {
        "id": id_of(answer, form),
        "object": "response",
        "created_at": form.made_s,
        **answer.head,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "output": [item_of(answer, form, status)] if done else [],
        "usage": usage_of(answer) if done else None,
    }


def response_events(answer: Answer, form: Form) -> Sequence[bytes]:
    item = f"msg_{form.key}"
    at = {"item_id": item, "output_index": 0, "content_index": 0}
    running = response_of(answer, form, "in_progress")
    said: list[tuple[str, Mapping[str, Any]]] = [
        ("response.created", {"response": running}),
        ("response.in_progress", {"response": running}),
        (
            "response.output_item.added",
            {"output_index": 0, "item": item_of(answer, form, "in_progress")},
        ),
        ("response.content_part.added", {**at, "part": part_of("")}),
        *(
            ("response.output_text.delta", {**at, "delta": piece, "logprobs": []})
            for piece in cut(answer.text)
        ),
        ("response.output_text.done", {**at, "text": answer.text, "logprobs": []}),
        ("response.content_part.done", {**at, "part": part_of(answer.text)}),
        (
            "response.output_item.done",
            {"output_index": 0, "item": item_of(answer, form, "completed")},
        ),
        ("response.completed", {"response": response_of(answer, form)}),
    ]
    return [
        sse({"type": name, "sequence_number": number, **more}, name)
        for number, (name, more) in enumerate(said)
    ]
