"""The one text of a request that may differ by its wording: the last thing the user said.

Everything before it, and beside it, must be equal: it is the partition in which alike questions are
looked for.
"""

from collections.abc import Mapping, Sequence
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

    place: str
    """Hashed tenant and model: what the key of its answer begins with."""
    partition: str
    """All that must be equal, hashed: tenant, model, and the conversation before it."""
    turn: str
    vector: bytes = b""
    """Of 32-bit floats, of length 1; empty: nobody has heard it yet."""

    @property
    def tenant(self) -> str:
        return self.place.partition(":")[0]

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

    async def find(self, sought: Sought, threshold: float, now_ms: int) -> Sequence[Near]:
        """Find those that ask the same, the nearest first. Raises: QuestionsFaultError."""
        ...

    async def add(self, sought: Sought, key: str, until_ms: int) -> None:
        """Let it be found from now on. Raises: QuestionsFaultError."""
        ...


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
