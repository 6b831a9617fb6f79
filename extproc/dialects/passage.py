"""The texts of an answer, seen by whoever changes them: pieces in, pieces out."""

from typing import Protocol

from extproc.request import Kind


class Passage(Protocol):
    """Rewrites one text, piece by piece. The joined output must not depend on how it was cut."""

    @property
    def idle(self) -> bool:
        """Whether it is as good as new: nothing held, nothing remembered."""
        ...

    def feed(self, text: str) -> str: ...

    def finish(self) -> str:
        """Return what is still held back."""
        ...


class Editor(Protocol):
    """What is to be done to the texts of one answer."""

    def begin(self, depth: int) -> Passage:
        """Begin a text that is written inside of so many JSON strings: 0 is plain text, 1 is a literal,
        or JSON itself."""
        ...

    def may_change(self, raw: bytes) -> bool:
        """Whether anything in these whole events could be changed, or be held back. Cheap; may err by
        saying yes."""
        ...

    def may_stand(self, raw: bytes) -> bool:
        """Whether one of these strings, taken alone, could be changed. Cheap; may err like this, too."""
        ...


TEXTS = frozenset({"content", "text", "response.output_text"})
"""Channels that are JSON when the request asked for an answer in JSON."""


def literal_depth(kind: Kind, name: str | int, json_texts: frozenset[str]) -> int:
    """Say how deep in JSON strings the value of a member is written. Anthropic's arguments are objects."""
    inside = name in json_texts or (name == "arguments" and kind is not Kind.MESSAGES)
    return 2 if inside else 1


def alone(editor: Editor, depth: int, written: str) -> str:
    """Rewrite a text that is all there."""
    passage = editor.begin(depth)
    return passage.feed(written) + passage.finish()
