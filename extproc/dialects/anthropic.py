"""Anthropic's request bodies: `/v1/messages` and its `count_tokens`.

Source: Anthropic's API reference; vLLM's `anthropic/protocol.py`, which is wider in the role
`system` within the messages, and narrower in the kinds of blocks it can use.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from extproc.dialects.body import (
    Count,
    Document,
    MemberError,
    Name,
    Shape,
    Share,
    Temperature,
    check_url,
    need,
)
from extproc.request import Prompt


class Source(msgspec.Struct):
    """Where an image or a document is."""

    type: Name
    media_type: str | None = None
    data: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        if self.type == "base64":
            need(self, "media_type", "data")
        if self.type == "url":
            need(self, "url")
        if self.url is not None:
            check_url(self.url, "url")


class Block(msgspec.Struct):
    type: Name
    text: str | None = None
    source: Source | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: str | list["Block"] | dict[str, Any] | None = None
    thinking: str | None = None

    def __post_init__(self) -> None:
        need(self, *OF_BLOCKS.get(self.type, ()))
        if self.type == "tool_result" and isinstance(self.content, dict):
            raise MemberError("content", "must be a text or a list of blocks")


OF_BLOCKS = {
    "text": ("text",),
    "image": ("source",),
    "document": ("source",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
    "thinking": ("thinking",),
}
"""What a block of each kind must have; other kinds are for the engine to judge."""


class Message(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Tool(msgspec.Struct):
    """Ours to call, unless `type` names one that Anthropic would run itself."""

    name: Name
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.type in (None, "custom"):
            need(self, "input_schema")


class ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: Name | None = None
    disable_parallel_tool_use: bool | None = None

    def __post_init__(self) -> None:
        if self.type == "tool":
            need(self, "name")


class Thinking(msgspec.Struct):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Count | None = None

    def __post_init__(self) -> None:
        if self.type == "enabled":
            need(self, "budget_tokens")


class CountTokens(Shape, kw_only=True):
    messages: Annotated[list[Message], Meta(min_length=1)]
    system: str | list[Block] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None


class Messages(CountTokens, kw_only=True):
    max_tokens: Count
    metadata: dict[str, Any] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: Temperature | None = None
    top_k: int | None = None
    top_p: Share | None = None

    def as_prompt(self, document: Document) -> Prompt:
        return Prompt(document, self.model, stream=bool(self.stream))
