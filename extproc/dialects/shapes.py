"""The bodies of all operations that have one: the table, and the way in."""

from collections.abc import Mapping
from types import MappingProxyType

from extproc.decision import Deny
from extproc.dialects.anthropic import CountTokens, Messages
from extproc.dialects.body import Shape, convert
from extproc.dialects.openai import Chat, Completions, Embeddings
from extproc.dialects.responses import Responses
from extproc.request import Kind, Prompt

SHAPES: Mapping[Kind, type[Shape]] = MappingProxyType(
    {
        Kind.CHAT: Chat,
        Kind.COMPLETIONS: Completions,
        Kind.EMBEDDINGS: Embeddings,
        Kind.RESPONSES: Responses,
        Kind.MESSAGES: Messages,
        Kind.COUNT_TOKENS: CountTokens,
    }
)


def read(kind: Kind, raw: bytes) -> Prompt | Deny:
    """Parse and check the body of an operation, once."""
    return convert(raw, SHAPES[kind])
