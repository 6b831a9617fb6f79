"""OpenAI's request bodies: what we check before an engine sees them.

Members we know are checked strictly, so that a mistake is answered here with its name, the same for
every engine. Members we do not know pass: engines have their own extensions. Ranges are those of
vLLM where it is wider than OpenAI. Source: OpenAI's API reference; vLLM's `protocol.py`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.request import Kind, Prompt

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
"""Engines keep counts in 32 bits; what is larger is a mistake."""
Penalty = Annotated[float, Meta(ge=-2, le=2)]
TokenIds = str | list[str | int | list[int]]
"""A text, texts, token ids, or lists of token ids."""


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class Part(msgspec.Struct):
    type: Name


class Function(msgspec.Struct):
    name: Name
    arguments: str = ""


class ToolCall(msgspec.Struct):
    function: Function
    id: str | None = None
    type: str | None = None


class Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class ToolFunction(msgspec.Struct):
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    type: Name
    function: ToolFunction | None = None


class Sampling(msgspec.Struct, kw_only=True):
    """What chat and completions share."""

    model: Name
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    user: str | None = None


class Chat(Sampling, kw_only=True):
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=-1)] | None = None
    """-1 is vLLM's word for all."""
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None


class Completions(Sampling, kw_only=True):
    prompt: TokenIds
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    """0 scores a prompt: vLLM allows it together with `echo`."""
    logprobs: Annotated[int, Meta(ge=-1)] | None = None
    echo: bool | None = None
    suffix: str | None = None


class Embeddings(msgspec.Struct, kw_only=True):
    model: Name
    input: TokenIds
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None
    user: str | None = None


SHAPES: Mapping[Kind, type[Chat | Completions | Embeddings]] = {
    Kind.CHAT: Chat,
    Kind.COMPLETIONS: Completions,
    Kind.EMBEDDINGS: Embeddings,
}


def read(kind: Kind, raw: bytes) -> Prompt | Deny:
    """Parse a body once. About 10 us for 4 kB, and 5 ms for each megabyte."""
    document = decode(raw)
    if isinstance(document, Deny):
        return document
    try:
        asked = msgspec.convert(document, SHAPES[kind])
    except msgspec.ValidationError as exc:
        return invalid(str(exc))
    if isinstance(asked, Embeddings):
        return Prompt(document, asked.model)
    options = asked.stream_options
    if options and not asked.stream:
        return bad("'stream_options' is only allowed when 'stream' is true.", "stream_options")
    return Prompt(
        document,
        asked.model,
        stream=bool(asked.stream),
        wants_usage=bool(options and options.include_usage),
        wants_continuous_usage=bool(options and options.continuous_usage_stats),
    )


def decode(raw: bytes) -> dict[str, Any] | Deny:
    """Parse JSON, which must be an object. Python's recursion limit bounds the nesting."""
    if not raw:
        return bad("The request body is empty; a JSON object was expected.")
    if raw.count(b"[") + raw.count(b"{") > MAX_BRACKETS:
        return bad("The request body has too many arrays and objects.")
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except RecursionError:
        return bad("The request body is nested too deeply.")
    except msgspec.ValidationError:
        return bad("The request body must be a JSON object.")
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        return bad(f"The request body is not valid JSON: {str(exc).removesuffix('.')}.")


def bad(message: str, param: str | None = None) -> Deny:
    return Deny(Reason.INVALID_REQUEST, message, param)


PLACE = re.compile(r" - at `(key in )?\$\.?(?P<path>[^`]*)`$")
MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
SAID_LENGTH = 200
"""What is repeated of a wrong value: enough to recognise it."""
MAX_BRACKETS = 500_000
"""Above this a body is refused unread. Each array or object costs memory and time out of all
proportion to its two bytes: 16 MiB of `[[1],[1],...` took 400 MiB and half a second. Brackets in
texts count too: source code has one in thirty characters, so 15 MB of it pass."""


def invalid(said: str) -> Deny:
    """Turn msgspec's words into a refusal that names the field.

    "Expected `int`, got `str` - at `$.messages[0].n`" has the field in its tail; a missing one is
    named in the sentence instead, relative to that tail.
    """
    place = PLACE.search(said)
    path = place["path"] if place else ""
    sentence = (said[: place.start()] if place else said).replace("`", "'")
    if missing := MISSING.match(said):
        name = missing["name"]
        path = f"{path}.{name}" if path else name
        return bad(f"'{path}' is required.", path)
    said = f"{sentence[:1].lower()}{sentence[1:SAID_LENGTH]}"
    return bad(f"'{path}': {said}.", path or None)
