"""OpenAI's newer request body, of `/v1/responses`: one answer, complete in itself.

OpenAI keeps answers and lets later requests build on them. An engine that did so would keep them in
its own memory, for whoever knows an id, and only the engine that happened to be picked would have
them; one that worked in the background would do so unmetered. So these members are refused here.

Source: OpenAI's API reference; vLLM's `responses/protocol.py`.
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

NOT_KEPT = "is not supported: nothing is kept between requests, send the whole conversation"


class Part(msgspec.Struct):
    type: Name
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None

    def __post_init__(self) -> None:
        match self.type:
            case "input_text" | "output_text" | "reasoning_text" | "summary_text":
                need(self, "text")
            case "refusal":
                need(self, "refusal")
            case "input_image" if self.image_url is not None:  # else there is a file_id
                check_url(self.image_url, "image_url")
            case _:
                pass


class Item(msgspec.Struct):
    """One item of the input: a message, with or without saying so, or a step of a tool call."""

    type: str | None = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    output: Any = None

    def __post_init__(self) -> None:
        match self.type:
            case None | "message":
                need(self, "role", "content")
            case "function_call":
                need(self, "call_id", "name", "arguments")
                if not isinstance(self.arguments, str):
                    raise MemberError("arguments", "must be JSON as a text")
            case "function_call_output":
                need(self, "call_id", "output")
                if not isinstance(self.output, str | list):
                    raise MemberError("output", "must be a text or a list")
            case _:
                pass


class Tool(msgspec.Struct):
    type: Name
    name: Name | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.type == "function":
            need(self, "name")


class Responses(Shape, kw_only=True):
    input: str | Annotated[list[Item], Meta(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Count | None = None
    max_tool_calls: Count | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    background: bool | None = None
    store: bool | None = None
    include: list[str] | None = None
    reasoning: dict[str, Any] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    temperature: Temperature | None = None
    text: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[Tool] | None = None
    top_logprobs: Annotated[int, Meta(ge=-1)] | None = None
    top_p: Share | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None

    def __post_init__(self) -> None:
        for member in ("previous_response_id", "conversation"):
            if getattr(self, member) is not None:
                raise MemberError(member, NOT_KEPT)
        if self.background:
            raise MemberError("background", "is not supported: use 'stream' for long answers")

    def as_prompt(self, document: Document) -> Prompt:
        return Prompt(document, self.model, stream=bool(self.stream))
