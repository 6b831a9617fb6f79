"""OpenAI's older request bodies: chat completions, completions, embeddings.

Ranges are those of vLLM where it is wider than OpenAI. Source: OpenAI's API reference; vLLM's
`protocol.py`.
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

Penalty = Annotated[float, Meta(ge=-2, le=2)]
TokenIds = str | list[str | int | list[int]]
"""A text, texts, token ids, or lists of token ids."""


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class Media(msgspec.Struct):
    """Something the engine fetches, or that stands in the URL itself."""

    url: str

    def __post_init__(self) -> None:
        check_url(self.url, "url")


class Audio(msgspec.Struct):
    data: str
    format: Name


OF_PARTS = ("text", "image_url", "input_audio", "audio_url", "video_url", "refusal")
"""Parts whose content is in the member of the same name."""


class Part(msgspec.Struct):
    """One part of a message. A bare text for a URL is vLLM's short form."""

    type: Name
    text: str | None = None
    refusal: str | None = None
    image_url: str | Media | None = None
    audio_url: str | Media | None = None
    video_url: str | Media | None = None
    input_audio: Audio | None = None

    def __post_init__(self) -> None:
        if self.type in OF_PARTS:
            need(self, self.type)
        for member in ("image_url", "audio_url", "video_url"):
            url = getattr(self, member)
            if isinstance(url, str):
                check_url(url, member)


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

    def __post_init__(self) -> None:
        if self.type == "function":
            need(self, "function")


class Sampling(Shape, kw_only=True):
    """What chat and completions share."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    user: str | None = None

    def __post_init__(self) -> None:
        if self.stream_options and not self.stream:
            raise MemberError("stream_options", "is only allowed when 'stream' is true")

    def as_prompt(self, document: Document) -> Prompt:
        options = self.stream_options
        return Prompt(
            document,
            self.model,
            stream=bool(self.stream),
            wants_usage=bool(options and options.include_usage),
            wants_continuous_usage=bool(options and options.continuous_usage_stats),
            n=self.n or 1,
        )


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
    max_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    """0 scores a prompt: vLLM allows it together with `echo`."""
    logprobs: Annotated[int, Meta(ge=-1)] | None = None
    echo: bool | None = None
    suffix: str | None = None


class Embeddings(Shape, kw_only=True):
    input: TokenIds
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None
    user: str | None = None
