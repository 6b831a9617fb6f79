"""A model that knows a few names by heart, for tests without half a gigabyte of weights."""

from collections.abc import Sequence

from sidecars.names.span import Span, Type


class Listed:
    """Implements `Model`: finds these words, wherever they stand."""

    def __init__(self, **names: Type) -> None:
        self._names = names
        self.read: list[str] = []

    def reads(self, text: str) -> bool:
        return bool(text.strip())

    def find(self, text: str) -> Sequence[Span]:
        self.read.append(text)
        return [
            Span(kind, at, at + len(name))
            for name, kind in self._names.items()
            for at in range(len(text))
            if text.startswith(name, at)
        ]
