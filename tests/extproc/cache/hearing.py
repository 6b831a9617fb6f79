"""Questions, and how they sound to tests."""

import numpy as np

from extproc.cache.embedding import normed
from extproc.cache.turn import Sought
from extproc.errors import EmbeddingError

DIMS = 16


class Letters:
    """Implements `Embedder`: texts with the same letters sound the same; deaf when told so."""

    deaf = False

    async def embed(self, text):
        if self.deaf:
            raise EmbeddingError("deaf")
        return normed(
            [text.lower().count(letter) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"]
        )


def vector(number, dims=DIMS):
    """Of length 1, and another for each number."""
    found = np.random.default_rng(number).standard_normal(dims).astype(np.float32)
    return found / np.linalg.norm(found)


def question(number, *, tenant="acme", conversation="c", model="m", dims=DIMS):
    return Sought(
        f"{tenant}:{model}",
        f"{conversation} of {tenant} {model}",
        f"Question {number}",
        vector(number, dims).tobytes(),
    )


def key_of(sought):
    """A request's key is made of all its conversation too."""
    other = "" if sought.partition.startswith("c ") else "d"
    return f"{sought.place}:{other}{sought.turn.removeprefix('Question ')}"


async def keep(questions, *asked, until_ms=10):
    for sought in asked:
        await questions.add(sought, key_of(sought), until_ms)


async def keys(questions, sought, now_ms=5):
    return [each.key for each in await questions.nearest(sought, now_ms)]
