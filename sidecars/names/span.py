"""A name, where it stands, and who can find one."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

Type = Literal["person", "organization"]


class Span(msgspec.Struct, frozen=True):
    """One name. Places count code points from the beginning of the text, `end` is the first that is
    not part of it."""

    type: Type
    start: int
    end: int

    def moved(self, by: int) -> "Span":
        return Span(self.type, self.start + by, self.end + by)


class Model(Protocol):
    """Finds names in texts of its language."""

    def reads(self, text: str) -> bool:
        """Whether anything in the text is written in its script."""
        ...

    def find(self, text: str) -> Sequence[Span]:
        """Find the names; takes milliseconds, and must be called from one thread at a time."""
        ...
