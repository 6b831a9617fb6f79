"""The one text of a request that may differ by its wording: the last thing the user said.

Everything before it, and beside it, must be equal: it is the partition in which alike questions are
looked for.
"""

from collections.abc import Mapping
from typing import Any, Protocol, cast

import msgspec

from extproc.dialects.ending import members
from extproc.request import Kind

MOST_CHARS = 1000
"""A longer text says more than a sentence embedding can tell apart."""
LEAST_CHARS = 4

Document = Mapping[str, Any]


class Sought(msgspec.Struct, frozen=True):
    """One question, where it belongs, and how it sounds."""

    tenant: str
    partition: str
    turn: str
    vector: bytes = b""
    """Of 32-bit floats, of length 1; empty: nobody has heard it yet."""

    def __repr__(self) -> str:
        return "Sought()"


class Near(msgspec.Struct, frozen=True):
    """An answer to a question that asks the same."""

    key: str
    similarity: float


class Likeness(Protocol):
    """Finds questions that ask the same. Nothing is found across partitions."""

    async def hear(self, sought: Sought) -> Sought:
        """Say how it sounds. Raises: EmbeddingError."""
        ...

    def find(self, sought: Sought, threshold: float, now_ms: int) -> Near | None: ...

    def add(self, sought: Sought, key: str, until_ms: int) -> None: ...


def take_turn(kind: Kind, document: Document) -> tuple[str, Document] | None:
    """Take the last turn out; None where it is not a user's, not one text, or too long."""
    match kind:
        case Kind.COMPLETIONS:
            name = "prompt"
        case Kind.RESPONSES:
            name = "input"
        case _:
            name = "messages"
    given = document.get(name)
    if isinstance(given, str):
        turn, rest = given, {**document, name: ["turn"]}
    elif isinstance(given, list) and given:
        turns = cast("list[object]", given)
        last = members(turns[-1])
        turn = text_of(last.get("content")) if last.get("role") == "user" else ""
        left = {key: value for key, value in last.items() if key != "content"}
        rest = {**document, name: [*turns[:-1], left]}
    else:
        return None
    turn = turn.strip()
    return (turn, rest) if LEAST_CHARS <= len(turn) <= MOST_CHARS else None


def text_of(content: object) -> str:
    """The text of a turn, if it is one text."""
    if isinstance(content, list):
        parts = cast("list[object]", content)
        part: Document = members(parts[0]) if len(parts) == 1 else {}
        is_plain = part.keys() <= {"type", "text"}
        text = part.get("text") if is_plain else None
    else:
        text = content
    return text if isinstance(text, str) else ""
