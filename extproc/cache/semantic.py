"""Finds questions that sound alike, and asks the guard whether they ask the same."""

from collections.abc import Sequence

import msgspec

from extproc.cache.embedding import Embedder
from extproc.cache.guard import asks_same
from extproc.cache.questions import Questions
from extproc.cache.turn import Near, Sought


class Semantic:
    """Implements `Likeness`, wherever questions are kept."""

    def __init__(self, embedder: Embedder, questions: Questions) -> None:
        self._embedder = embedder
        self._questions = questions

    async def hear(self, sought: Sought) -> Sought:
        vector = await self._embedder.embed(sought.turn)
        return msgspec.structs.replace(sought, vector=vector)

    async def find(self, sought: Sought, threshold: float, now_ms: int) -> Sequence[Near]:
        return [
            Near(each.key, each.similarity)
            for each in await self._questions.nearest(sought, now_ms)
            if each.similarity >= threshold and asks_same(sought.turn, each.turn)
        ]

    async def add(self, sought: Sought, key: str, until_ms: int) -> None:
        await self._questions.add(sought, key, until_ms)
