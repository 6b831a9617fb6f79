"""A model's own chat template, rendered as the engine renders it.

What a template may use is what Hugging Face's `apply_chat_template` gives it. It runs in a sandbox: it
comes from a model's directory, and what it works on comes from clients.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Never

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from extproc.counting.tokenizer import CountError, VocabularyError

Message = Mapping[str, Any]

FAILURES = (
    jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError,
    RecursionError,
)  # fmt: skip
"""What a template may end with: its own refusals, and mistakes that a strange message brings out."""
SYSTEM_LATER = ("system", "user", "system", "user")


class Template:
    """Compiled once. Thread-safe."""

    def __init__(self, text: str, words: Mapping[str, str]) -> None:
        """`words` are the names of special tokens that templates use: `bos_token`, `eos_token`...

        Raises:
            VocabularyError: It is no Jinja template.
        """
        environment = make_environment()
        try:
            tree = environment.parse(text)
            self._template = environment.from_string(text, dict(FUNCTIONS))
        except jinja2.TemplateSyntaxError as exc:
            raise VocabularyError(f"line {exc.lineno}: {exc.message}") from None
        self._words = dict(words)
        self.text = text
        self.constants = tuple({c.value for c in tree.find_all(jinja2.nodes.Const) if is_text(c)})
        """Every text in the expressions: what it may look for in a message."""
        self.loops_over_content = any(
            is_content(loop.iter) for loop in tree.find_all(jinja2.nodes.For)
        )
        """It wants the content of messages as a list of parts. vLLM tells templates apart likewise."""
        self.tells_time = "strftime_now" in text
        self.knows_developer = "developer" in self.constants
        self.takes_system_later = self._renders(SYSTEM_LATER)
        """Else engines merge what Anthropic's API lets clients say to the system later on."""

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Message] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """Return the whole prompt. Raises: CountError when it refuses, as it would in the engine."""
        names = {
            **self._words,
            "add_generation_prompt": True,
            **(variables or {}),
            "messages": messages,
            "tools": tools,
        }
        try:
            return self._template.render(names)
        except FAILURES as exc:
            raise CountError(f"the chat template failed: {type(exc).__name__}") from None

    def _renders(self, roles: Sequence[str]) -> bool:
        content: str | list[dict[str, str]] = "x"
        if self.loops_over_content:
            content = [{"type": "text", "text": "x"}]
        try:
            self.render([{"role": role, "content": content} for role in roles])
        except CountError:
            return False
        return True


def make_environment() -> ImmutableSandboxedEnvironment:
    """Make what templates are written for."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    return environment


class Generation(jinja2.ext.Extension):
    """`{% generation %}...{% endgeneration %}` marks for training what the model said; else it is
    as if it were not there."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own escapes what HTML would take amiss."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def refuse(message: str) -> Never:
    """Raises: jinja2.TemplateError, always."""
    raise jinja2.TemplateError(message)


def strftime_now(form: str) -> str:
    """Tell the time in the gateway's zone; an engine uses its own."""
    return datetime.now().astimezone().strftime(form)


FUNCTIONS = MappingProxyType({"raise_exception": refuse, "strftime_now": strftime_now})


def is_text(constant: jinja2.nodes.Const) -> bool:
    return isinstance(constant.value, str) and bool(constant.value)


def is_content(node: jinja2.nodes.Node | None) -> bool:
    """Whether this is `message.content`, `message['content']` or `content`, filtered or sliced."""
    match node:
        case jinja2.nodes.Filter() | jinja2.nodes.Test():
            return is_content(node.node)
        case jinja2.nodes.Getitem(arg=jinja2.nodes.Slice()):
            return is_content(node.node)
        case jinja2.nodes.Getitem(arg=jinja2.nodes.Const(value="content")):
            return True
        case jinja2.nodes.Getattr(attr="content") | jinja2.nodes.Name(name="content"):
            return True
        case _:
            return False
