"""Bodies that differ in few members, written so that they differ at their beginning alone.

What is the same for all is written, and sent, once; each has a head of its own.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from extproc.dialects.body import Document


def differing(first: Document, others: Sequence[Document]) -> list[str]:
    """Name the members that are not the same in all; `model` is always one of them."""
    names = dict.fromkeys(name for document in (first, *others) for name in document)
    return [
        "model",
        *(
            name
            for name in names
            if name != "model" and any(is_other(name, first, each) for each in others)
        ),
    ]


def is_other(name: str, first: Document, second: Document) -> bool:
    if name not in first or name not in second:
        return (name in first) != (name in second)
    return first[name] is not second[name] and first[name] != second[name]


def put_first(document: Document, members: Sequence[str]) -> dict[str, Any]:
    """The same, with these members before all others."""
    return {**{name: document[name] for name in members if name in document}, **document}


def head_of(document: Document, members: Sequence[str]) -> bytes:
    """Encode these members as a body begins with them: without the closing brace."""
    return msgspec.json.encode({n: document[n] for n in members if n in document})[:-1]
