"""The bodies that clients may send, as vLLM reads them: unknown members are ignored.

Only types and ranges that the form itself can express; request.py checks the rest.
"""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

INT64 = Meta(ge=-(2**63), le=2**63 - 1)
DelayMs = Annotated[float, Meta(ge=0, le=3_600_000)]

# msgspec takes one kind of list per union, so a prompt of token ids is told apart afterwards.
Texts = str | list[str | int | list[int]]


class Part(Struct):
    """One part of a message. Whatever is not text counts as an image."""

    type: str
    text: str | None = None


class Message(Struct):
    role: Annotated[str, Meta(pattern=r"^\w{1,32}$")]
    content: str | list[Part] | None = None
    tool_calls: Raw = Raw()


class StreamOptions(Struct):
    include_usage: bool | None = False
    continuous_usage_stats: bool | None = False


class Sim(Struct):
    """The member `x_sim`; see the package's text."""

    ttft_ms: DelayMs | None = None
    itl_ms: DelayMs | None = None
    fault: str | None = None


class Body(Struct, kw_only=True):
    """What all bodies share. Without a model the engine answers with its first one."""

    model: str | None = None
    x_sim: Sim | None = None


class Transfer(Struct, kw_only=True):
    """`kv_transfer_params`: how prefill and decode engines speak of a prompt's KV through clients."""

    do_remote_decode: bool = False
    """To a prefill engine: keep the KV, another will fetch it."""
    do_remote_prefill: bool = False
    """To a decode engine: fetch it from there."""
    remote_engine_id: str | None = None
    remote_request_id: str | None = None
    remote_host: str | None = None
    remote_port: int | None = None
    remote_block_ids: list[int] | None = None
    tp_size: int = 1


class GenerationBody(Body, kw_only=True):
    max_tokens: Annotated[int, INT64] | None = None
    min_tokens: Annotated[int, INT64] = 0
    n: Annotated[int, INT64] | None = 1
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    seed: Annotated[int, INT64] | None = None
    temperature: float | None = None
    top_p: float | None = None
    ignore_eos: bool = False
    cache_salt: str | None = None
    request_id: str | None = None
    kv_transfer_params: Transfer | None = None
    return_token_ids: bool | None = None


class ChatBody(GenerationBody, kw_only=True):
    messages: list[Message]
    max_completion_tokens: Annotated[int, INT64] | None = None
    tools: Raw = Raw()
    tool_choice: Raw = Raw()


class Item(Struct, kw_only=True):
    """One item of a Responses input: a message, or a step of a tool call."""

    type: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    arguments: str = ""
    output: Raw = Raw()


class FunctionTool(Struct, kw_only=True):
    """A tool of a Responses request, as vLLM repeats it: its members, its order."""

    name: str = ""
    parameters: Raw = Raw(b"null")
    strict: bool | None = None
    type: str
    allowed_callers: None = None
    is_async: None = msgspec.field(default=None, name="async")
    defer_loading: bool | None = None
    description: str | None = None
    output_schema: None = None


class ResponsesBody(GenerationBody, kw_only=True):
    input: str | list[Item]
    instructions: str | None = None
    max_output_tokens: Annotated[int, INT64] | None = None
    tools: Raw = Raw(b"[]")
    tool_choice: Raw = Raw(b'"auto"')
    background: bool | None = False


class Block(Struct, kw_only=True):
    """One block of a Messages content."""

    type: Literal["text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking"]
    text: str | None = None
    input: Raw = Raw()
    content: "str | list[Block] | None" = None


class BlockMessage(Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class CountBody(Body, kw_only=True):
    messages: list[BlockMessage]
    system: str | list[Block] | None = None
    tools: Raw = Raw()


class MessagesBody(GenerationBody, kw_only=True):
    messages: list[BlockMessage]
    system: str | list[Block] | None = None
    tools: Raw = Raw()
    tool_choice: Raw = Raw()
    stop_sequences: list[str] | None = None


class CompletionBody(GenerationBody, kw_only=True):
    prompt: Texts | None = None


class EmbeddingBody(Body, kw_only=True):
    input: Texts
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=4096)] | None = None


class TokenizeBody(Body, kw_only=True):
    prompt: str | None = None
    messages: list[Message] | None = None
    return_token_strs: bool | None = False


def field_of(message: str) -> str:
    """The field that msgspec complains of, as vLLM writes it: body.messages.0.role."""
    path = re.search(r"at `\$(.*)`$", message)
    missing = re.search(r"missing required field `(\w+)`", message)
    field = "body" if path is None else "body" + re.sub(r"\[(\d+|\.\.\.)\]", r".\1", path[1])
    return field if missing is None else f"{field}.{missing[1]}"


def place_of(message: str, raw: bytes) -> str:
    """Where a body stops being JSON, as vLLM writes it: body.BYTE."""
    if "truncated" in message:
        return f"body.{len(raw)}"
    found = re.search(r"\(byte (\d+)\)$", message)
    return "body" if found is None else f"body.{found[1]}"
