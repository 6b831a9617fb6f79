"""A body becomes a checked value, or a refusal that names the field."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Literal, TypeVar

import msgspec
from msgspec import Raw

from engines.sim import schema
from engines.sim.answer import Wish
from engines.sim.calls import forced_call, repeated
from engines.sim.faults import Fault, Kind, parse_fault
from engines.sim.refusal import RefusedError
from engines.sim.tokens import Prompt, Tokenizer, text_of_ids
from engines.sim.turns import chat_text, message_text, response_text

Operation = Literal["chat", "completions", "responses", "messages"]

COMPLETION_TOKENS_DEFAULT = 16  # of /v1/completions, in vLLM as in OpenAI's reference
CHOICES_MAX = 128  # vLLM allows 16384; here each one is memory of a test machine
PROMPTS_MAX = 1024  # of one /v1/completions or /v1/embeddings, for the same reason


class Usage(Enum):
    """How much a stream says about its tokens."""

    NONE = "none"
    LAST = "last"
    CONTINUOUS = "continuous"


@dataclass(frozen=True, slots=True)
class Order:
    """What `x_sim` asked for. A delay of None is the process's own."""

    ttft_ms: float | None = None
    itl_ms: float | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """A checked request for text. `max_tokens` of None means as far as the context reaches."""

    operation: Operation
    prompts: tuple[Prompt, ...]
    n: int
    max_tokens: int | None
    wish: Wish
    stream: bool
    usage: Usage
    salt: str | None
    request_id: str | None
    order: Order
    asked: Mapping[str, object] = field(default_factory=dict[str, object])
    """What `/v1/responses` repeats of its request."""
    adapter: str = ""
    """The LoRA adapter it is for."""
    transfer: schema.Transfer | None = None
    """What a prefill engine is asked for, or has sent."""
    tells_ids: bool = False
    """Whether token ids are wanted; only whole chats are answered with them."""

    @property
    def is_received(self) -> bool:
        """Whether a prefill engine has computed the prompt."""
        return self.transfer is not None and self.transfer.do_remote_prefill


@dataclass(frozen=True, slots=True)
class Embedding:
    """A checked request for vectors. `dimensions` of None means the model's own."""

    prompts: tuple[Prompt, ...]
    dimensions: int | None
    base64: bool
    order: Order


_BodyT = TypeVar("_BodyT", bound=schema.Body)


class Reader:
    """Reads bodies for the served models. Bad input raises RefusedError and nothing else."""

    def __init__(
        self,
        models: tuple[str, ...],
        tokenizer: Tokenizer,
        max_model_len: int,
        adapters: Collection[str] = (),
    ) -> None:
        """`adapters` is looked at whenever a body is read: they may come and go."""
        self._models = models
        self._adapters = adapters
        self._tokenizer = tokenizer
        self._max_model_len = max_model_len
        self._chat = msgspec.json.Decoder(schema.ChatBody)
        self._completion = msgspec.json.Decoder(schema.CompletionBody)
        self._embedding = msgspec.json.Decoder(schema.EmbeddingBody)
        self._response = msgspec.json.Decoder(schema.ResponsesBody)
        self._message = msgspec.json.Decoder(schema.MessagesBody)
        self._count = msgspec.json.Decoder(schema.CountBody)
        self._tokenize = msgspec.json.Decoder(schema.TokenizeBody)

    def chat(self, raw: bytes) -> Generation:
        body = self._decode(self._chat, raw)
        if body.max_completion_tokens is not None:
            body.max_tokens = body.max_completion_tokens
        text = chat_text(body.messages, body.tools)
        return self._generation("chat", [text], body, forced_call(body.tools, body.tool_choice))

    def response(self, raw: bytes) -> Generation:
        body = self._decode(self._response, raw)
        if body.background:
            raise RefusedError.invalid("the background mode is not supported", "background")
        body.max_tokens, body.n, body.stream_options = body.max_output_tokens, 1, None
        asked = {
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "temperature": 1.0 if body.temperature is None else body.temperature,
            "tool_choice": "none" if body.tools == b"[]" else body.tool_choice,
            "tools": repeated(body.tools),
            "top_p": 1.0 if body.top_p is None else body.top_p,
        }
        call = forced_call(body.tools, body.tool_choice)
        read = self._generation("responses", [response_text(body)], body, call)
        return replace(read, asked=asked)

    def message(self, raw: bytes) -> Generation:
        body = self._decode(self._message, raw)
        if body.max_tokens is None:
            raise RefusedError.malformed("Field required", "body.max_tokens")
        body.stop, body.n, body.stream_options = body.stop_sequences, 1, None
        call = forced_call(body.tools, body.tool_choice)
        return self._generation("messages", [message_text(body)], body, call)

    def message_tokens(self, raw: bytes) -> int:
        """Count a prompt without answering it."""
        return self._tokenizer.prompt(message_text(self._decode(self._count, raw))).tokens

    def completion(self, raw: bytes) -> Generation:
        body = self._decode(self._completion, raw)
        if body.prompt is None or body.prompt == "":
            raise RefusedError.invalid("prompt must be given and not be empty", "prompt")
        if body.max_tokens is None:
            body.max_tokens = COMPLETION_TOKENS_DEFAULT
        return self._generation("completions", _texts(body.prompt, "prompt"), body)

    def embedding(self, raw: bytes) -> Embedding:
        body = self._decode(self._embedding, raw)
        return Embedding(
            prompts=tuple(self._prompt(text, room=0) for text in _texts(body.input, "input")),
            dimensions=body.dimensions,
            base64=body.encoding_format == "base64",
            order=_order(body.x_sim),
        )

    def tokenize(self, raw: bytes) -> tuple[str, bool]:
        """The text to cut, and whether its pieces are wanted beside their ids."""
        body = self._decode(self._tokenize, raw)
        if body.messages is not None:
            return chat_text(body.messages, Raw()), bool(body.return_token_strs)
        if body.prompt is None:
            raise RefusedError.malformed("prompt or messages must be given", "body.prompt")
        return body.prompt, bool(body.return_token_strs)

    def _decode(self, decoder: msgspec.json.Decoder[_BodyT], raw: bytes) -> _BodyT:
        if not raw:
            raise RefusedError.malformed("a body is required", "body")
        try:
            body = decoder.decode(raw)
        except msgspec.ValidationError as wrong:
            raise RefusedError.malformed(str(wrong), schema.field_of(str(wrong))) from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as wrong:
            raise RefusedError.malformed(str(wrong), schema.place_of(str(wrong), raw)) from None
        if body.model and body.model not in (*self._models, *self._adapters):
            raise RefusedError.unknown_model(body.model, (*self._models, *self._adapters))
        return body

    def _generation(
        self,
        operation: Operation,
        texts: list[str],
        body: schema.GenerationBody,
        call: str = "",
    ) -> Generation:
        stops = _stops(body.stop)
        _check(body, stops, self._max_model_len)
        order = _order(body.x_sim)
        fault = order.fault
        return Generation(
            operation=operation,
            prompts=tuple(self._prompt(text, room=1) for text in texts),
            n=1 if body.n is None else body.n,
            max_tokens=body.max_tokens,
            wish=Wish(
                seed=body.seed or 0,
                at_least=body.min_tokens,
                ignore_eos=body.ignore_eos,
                stop=stops,
                first_letters=fault.amount if fault and fault.kind is Kind.HUGE else 0,
                call=call,
            ),
            stream=bool(body.stream),
            usage=_usage(body.stream_options),
            salt=body.cache_salt,
            request_id=body.request_id,
            order=order,
            adapter=body.model if body.model and body.model in self._adapters else "",
            transfer=body.kv_transfer_params,
            tells_ids=bool(body.return_token_ids),
        )

    def _prompt(self, text: str, *, room: int) -> Prompt:
        """Cut a text that leaves `room` tokens of the context to the answer."""
        prompt = self._tokenizer.prompt(text)
        if prompt.tokens + room > self._max_model_len:
            raise RefusedError.invalid(
                f"This model's maximum context length is {self._max_model_len} tokens, and your "
                f"prompt has {prompt.tokens}. Please reduce the length of the prompt.",
                "input_tokens",
            )
        return prompt


def _check(body: schema.GenerationBody, stops: tuple[str, ...], max_model_len: int) -> None:
    n = 1 if body.n is None else body.n
    most = max_model_len if body.max_tokens is None else body.max_tokens
    temperature = body.temperature or 0.0
    rules = (
        (body.stream or not body.stream_options, "stream_options", "needs stream=true"),
        (body.cache_salt != "", "cache_salt", "must not be empty"),
        (1 <= n <= CHOICES_MAX, "n", f"must be between 1 and {CHOICES_MAX}"),
        (most >= 1, "max_tokens", "must be at least 1"),
        (most <= max_model_len, "max_tokens", f"must not be over max_model_len={max_model_len}"),
        (0 <= body.min_tokens <= most, "min_tokens", "must be between 0 and max_tokens"),
        (0 <= temperature <= 2, "temperature", "must be between 0 and 2"),
        (body.top_p is None or 0 < body.top_p <= 1, "top_p", "must be over 0 and at most 1"),
        ("" not in stops, "stop", "must not contain an empty string"),
    )
    for holds, param, message in rules:
        if not holds:
            raise RefusedError.invalid(f"{param} {message}", param)


def _order(sim: schema.Sim | None) -> Order:
    if sim is None:
        return Order()
    try:
        fault = None if sim.fault is None else parse_fault(sim.fault)
    except ValueError as wrong:
        raise RefusedError.malformed(str(wrong), "body.x_sim.fault") from None
    return Order(sim.ttft_ms, sim.itl_ms, fault)


def _usage(options: schema.StreamOptions | None) -> Usage:
    """Without include_usage, vLLM does not heed continuous_usage_stats."""
    if options is None or not options.include_usage:
        return Usage.NONE
    return Usage.CONTINUOUS if options.continuous_usage_stats else Usage.LAST


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    if stop is None:
        return ()
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _texts(given: schema.Texts, param: str) -> list[str]:
    """One text per prompt. A list of numbers is a single prompt of token ids."""
    if isinstance(given, str):
        return [given]
    ids = [item for item in given if isinstance(item, int)]
    if ids and len(ids) == len(given):
        return [text_of_ids(ids)]
    if ids or not 1 <= len(given) <= PROMPTS_MAX or not all(given):
        raise RefusedError.invalid(
            f"{param} must be 1 to {PROMPTS_MAX} texts or lists of token ids, none empty", param
        )
    return [
        item if isinstance(item, str) else text_of_ids([item] if isinstance(item, int) else item)
        for item in given
    ]
