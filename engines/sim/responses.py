"""Answers of /v1/responses, whole and as events, with vLLM's members in vLLM's order.

response.created, response.in_progress      at once, long before the first token
response.output_item.added, .content_part.added
response.output_text.delta                  one per token that has text
response.output_text.done, .content_part.done, .output_item.done
response.completed                          the whole answer, with its usage
"""

from collections.abc import Iterator, Mapping
from itertools import count

import msgspec

from engines.sim.bodies import Head, Json, call_id
from engines.sim.run import Choice, Run

AT_ONCE = -1
"""The step of what does not wait for a token."""


def response_body(head: Head, run: Run, asked: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(_whole(head, run, asked))


class ResponseStream:
    """Writes the events of one run."""

    def __init__(self, head: Head, run: Run, asked: Mapping[str, object]) -> None:
        self._head = head
        self._run = run
        self._asked = asked
        self._numbers = count()

    def events(self) -> Iterator[tuple[int, bytes]]:
        """All events, each with the step (0 is the first token) at which it is due."""
        begun = _whole(self._head, self._run, self._asked)
        begun |= {"status": "in_progress", "incomplete_details": None, "usage": None}
        begun["output"] = ()
        for name in ("created", "in_progress"):
            yield AT_ONCE, self._event(f"response.{name}", {"response": begun})
        item = _item(self._head, self._run.choices[0], is_whole=False)
        yield 0, self._item_event("added", item)
        yield from self._call() if self._run.choices[0].words.call else self._text()
        last = self._run.steps - 1
        yield last, self._item_event("done", _item(self._head, self._run.choices[0]))
        whole = _whole(self._head, self._run, self._asked)
        yield last, self._event("response.completed", {"response": whole})

    def _text(self) -> Iterator[tuple[int, bytes]]:
        yield 0, self._part("content_part.added", {"part": {**_part(""), "logprobs": []}})
        pieces = self._run.choices[0].words.pieces
        for step, piece in enumerate(pieces):
            if piece:
                yield step, self._part("output_text.delta", {"delta": piece, "logprobs": []})
        last, text = len(pieces) - 1, "".join(pieces)
        yield last, self._part("output_text.done", {"logprobs": [], "text": text})
        yield last, self._part("content_part.done", {"part": _part(text)})

    def _call(self) -> Iterator[tuple[int, bytes]]:
        words = self._run.choices[0].words
        place: Json = {"item_id": _item_id(self._head, "fc_"), "output_index": 0}
        name = "response.function_call_arguments"
        for step, piece in enumerate(words.pieces):
            if piece:
                yield step, self._event(f"{name}.delta", {**place, "delta": piece})
        done: Json = {"arguments": "".join(words.pieces), "name": words.call}
        yield len(words.pieces) - 1, self._event(f"{name}.done", {**place, **done})

    def _item_event(self, name: str, item: Json) -> bytes:
        return self._event(f"response.output_item.{name}", {"item": item, "output_index": 0})

    def _part(self, name: str, members: Json) -> bytes:
        item_id = _item_id(self._head, "msg_")
        place: Json = {"content_index": 0, "item_id": item_id, "output_index": 0}
        return self._event(f"response.{name}", {**place, **members})

    def _event(self, name: str, members: Json) -> bytes:
        document: Json = {**members, "sequence_number": next(self._numbers), "type": name}
        # vLLM writes what its client library does not declare, the name of a call, at the end.
        ordered = sorted(document.items(), key=lambda member: (member[0] == "name", member[0]))
        data = msgspec.json.encode(dict(ordered))
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def _whole(head: Head, run: Run, asked: Mapping[str, object]) -> Json:
    choice = run.choices[0]
    is_cut = choice.words.finish_reason == "length"
    return {
        "id": head.id,
        "created_at": head.created,
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "instructions": asked["instructions"],
        "metadata": None,
        "model": head.model,
        "object": "response",
        "output": [_item(head, choice)],
        "parallel_tool_calls": True,
        "temperature": asked["temperature"],
        "tool_choice": asked["tool_choice"],
        "tools": asked["tools"],
        "top_p": asked["top_p"],
        "background": False,
        "max_output_tokens": asked["max_output_tokens"],
        "max_tool_calls": None,
        "previous_response_id": None,
        "prompt": None,
        "reasoning": None,
        "service_tier": "auto",
        "status": "incomplete" if is_cut else "completed",
        "text": None,
        "top_logprobs": None,
        "truncation": "disabled",
        "usage": _usage(run),
        "user": None,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "kv_transfer_params": run.transfer,
        "ec_transfer_params": None,
        "input_messages": None,
        "output_messages": None,
    }


def _usage(run: Run) -> Json:
    """Cached tokens are a part of `input_tokens`, as in the older APIs."""
    first = run.choices[0]
    return {
        "input_tokens": run.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": first.cached_tokens,
            "cache_write_tokens": first.created_tokens,
            "input_tokens_per_turn": [],
            "cached_tokens_per_turn": [],
        },
        "output_tokens": run.completion_tokens,
        "output_tokens_details": {
            "reasoning_tokens": 0,
            "tool_output_tokens": 0,
            "output_tokens_per_turn": [],
            "tool_output_tokens_per_turn": [],
        },
        "total_tokens": run.prompt_tokens + run.completion_tokens,
    }


def _item_id(head: Head, prefix: str) -> str:
    return prefix + head.id.removeprefix("resp_")


def _item(head: Head, choice: Choice, *, is_whole: bool = True) -> Json:
    """The message or the call that the answer is; without its text when it has only begun."""
    words = choice.words
    text = "".join(words.pieces) if is_whole else ""
    status = "completed" if is_whole else "in_progress"
    if words.call:
        return {
            "arguments": text,
            "call_id": call_id(choice),
            "name": words.call,
            "type": "function_call",
            "id": _item_id(head, "fc_"),
            "async": None,
            "caller": None,
            "namespace": None,
            "status": status,
        }
    return {
        "id": _item_id(head, "msg_"),
        "content": [_part(text)] if is_whole else [],
        "role": "assistant",
        "status": status,
        "type": "message",
        "phase": None,
    }


def _part(text: str) -> Json:
    return {"annotations": [], "text": text, "type": "output_text", "logprobs": None}
