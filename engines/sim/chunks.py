"""The events of a stream, in vLLM's order and with vLLM's members in vLLM's order.

    role            one per choice, when its first token is there
    content         one per token; the last one carries finish_reason
    usage           choices empty; only if the client asked for it
    [DONE]

Everything of an event that does not change from token to token is encoded once per stream, which
leaves about 0.6 us per event.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from engines.sim.bodies import FINGERPRINT, Head, Json, call_id, chat_finish, usage
from engines.sim.request import Usage
from engines.sim.run import Choice, Run

Spoken = Literal["chat", "completions"]
"""The operations whose streams are made of chunks."""

DONE = b"data: [DONE]\n\n"
_FINGERPRINT_END = b',"system_fingerprint":"%b"}\n\n' % FINGERPRINT.encode()


@dataclass(frozen=True, slots=True)
class _Form:
    """How one operation writes an event, around the text of the token."""

    object: str
    before_text: bytes
    after_text: bytes
    after_last_text: bytes
    usage_end: bytes


_FORMS: dict[Spoken, _Form] = {
    "chat": _Form(
        object="chat.completion.chunk",
        before_text=b'{"index":%d,"delta":{"content":"',
        after_text=b'"},"logprobs":null,"finish_reason":null,"token_ids":null}]',
        after_last_text=b'"},"logprobs":null,"finish_reason":%b,"stop_reason":%b,"token_ids":null}]',
        usage_end=b',"completion_tokens_details":null}',
    ),
    "completions": _Form(
        object="text_completion",
        before_text=b'{"index":%d,"text":"',
        after_text=b'","logprobs":null,"finish_reason":null,"stop_reason":null,'
        b'"prompt_token_ids":null,"token_ids":null}]',
        after_last_text=b'","logprobs":null,"finish_reason":%b,"stop_reason":%b,'
        b'"prompt_token_ids":null,"token_ids":null}]',
        usage_end=b"}",
    ),
}
_ROLE = (
    b'{"index":%d,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]'
)


_CALL_END = b',"logprobs":null,"finish_reason":%b,"stop_reason":null,"token_ids":null}]'


def _name_of(choice: Choice) -> Json:
    name: Json = {"name": choice.words.call}
    return {"id": call_id(choice), "type": "function", "index": 0, "function": name}


class Stream:
    """Writes the events of one run."""

    def __init__(self, operation: Spoken, head: Head, run: Run, usage: Usage) -> None:
        self._form = _FORMS[operation]
        self._operation: Spoken = operation
        self._run = run
        self._usage = usage
        self._head = b'data: {"id":%b,"object":"%b","created":%d,"model":%b,"choices":[' % (
            msgspec.json.encode(head.id),
            self._form.object.encode(),
            head.created,
            msgspec.json.encode(head.model),
        )
        self._texts = {
            choice.index: self._head + self._form.before_text % choice.index
            for choice in run.choices
        }

    def events(self) -> Iterator[tuple[int, bytes]]:
        """All events, each with the step (0 is the first token) at which it is due."""
        choices = self._run.choices
        if self._operation == "chat":
            for choice in choices:
                yield 0, self._role(choice)
        steps = self._run.steps
        for step in range(steps):
            for choice in choices:
                if choice.words.call and step == 0:
                    yield 0, self._call(choice, _name_of(choice), 0)
                if step < len(choice.words.pieces):
                    yield step, self._token(choice, step)
        if self._usage is not Usage.NONE:
            yield steps - 1, self._total()
        yield steps - 1, DONE

    def _role(self, choice: Choice) -> bytes:
        return b'%b%b%b,"prompt_token_ids":null,"prompt_text":null}\n\n' % (
            self._head,
            _ROLE % choice.index,
            self._so_far(choice, 0),
        )

    def _token(self, choice: Choice, step: int) -> bytes:
        words = choice.words
        if words.call and words.pieces[step]:
            arguments: Json = {"index": 0, "function": {"arguments": words.pieces[step]}}
            event = self._call(choice, arguments, step + 1)
            if step + 1 < len(words.pieces):
                return event
            return event + self._end_of_call(choice)
        if words.call:
            return self._end_of_call(choice)
        text = words.pieces[step].encode()
        if step + 1 < len(words.pieces):
            after, end = self._form.after_text, b"}\n\n"
        else:
            after = self._form.after_last_text % (
                msgspec.json.encode(words.finish_reason),
                msgspec.json.encode(words.stop_reason),
            )
            # The fingerprint stands in the last event that has a body, whichever that is.
            end = b"}\n\n" if self._usage is not Usage.NONE else _FINGERPRINT_END
        return self._texts[choice.index] + text + after + self._so_far(choice, step + 1) + end

    def _call(self, choice: Choice, call: Json, completion_tokens: int) -> bytes:
        delta = msgspec.json.encode({"content": None, "tool_calls": [call]})
        return b'%b{"index":%d,"delta":%b%b%b}\n\n' % (
            self._head,
            choice.index,
            delta,
            b',"logprobs":null,"finish_reason":null,"token_ids":null}]',
            self._so_far(choice, completion_tokens),
        )

    def _end_of_call(self, choice: Choice) -> bytes:
        return b'%b{"index":%d,"delta":{}%b%b%b' % (
            self._head,
            choice.index,
            _CALL_END % msgspec.json.encode(chat_finish(choice.words)),
            self._so_far(choice, len(choice.words.pieces)),
            b"}\n\n" if self._usage is not Usage.NONE else _FINGERPRINT_END,
        )

    def _so_far(self, choice: Choice, completion_tokens: int) -> bytes:
        if self._usage is not Usage.CONTINUOUS:
            return b""
        prompt_tokens = choice.prompt.tokens
        return b',"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d%b' % (
            prompt_tokens,
            prompt_tokens + completion_tokens,
            completion_tokens,
            self._form.usage_end,
        )

    def _total(self) -> bytes:
        told = msgspec.json.encode(usage(self._operation, self._run, nulls=False))
        return self._head + b'],"usage":' + told + _FINGERPRINT_END
