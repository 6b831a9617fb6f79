"""What a prompt holds besides text, in any dialect."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import cast

from extproc.dialects.body import Document
from extproc.dialects.lengths import ITEMIZED, PROMPTS, as_list
from extproc.request import Kind

OTHERS = ("image", "audio", "video")
"""Each is part of the type's name, whoever coined it: image_url, input_image, image, audio_url..."""
NESTING = 3
"""A message holds blocks, a block of a tool's result holds blocks of its own."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A part that a model cannot take."""

    modality: str
    path: str


def find_foreign(kind: Kind, document: Document, known: AbstractSet[str]) -> Foreign | None:
    """Find the first part that is of none of the modalities in `known`."""
    name = PROMPTS[kind]
    unknown = [modality for modality in OTHERS if modality not in known]
    if kind not in ITEMIZED or not unknown:
        return None
    return next(find_in(as_list(document.get(name)), name, unknown, NESTING), None)


def find_in(
    parts: Sequence[object], path: str, unknown: Sequence[str], depth: int
) -> Iterator[Foreign]:
    for index, part in enumerate(parts):
        if not isinstance(part, dict):
            continue
        members = cast("dict[str, object]", part)
        here = f"{path}[{index}]"
        kind = str(members.get("type"))
        yield from (Foreign(modality, here) for modality in unknown if modality in kind)
        for inner in ("content", "output"):
            below = members.get(inner)
            if depth and isinstance(below, list):
                found = cast("list[object]", below)
                yield from find_in(found, f"{here}.{inner}", unknown, depth - 1)
