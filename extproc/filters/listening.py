"""What hears how texts sound, and remembers them: made when a policy first wants it."""

import hashlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from extproc.cache.embedding import DIMS, NEEDED, Asked, Embedded, Embedder, EngineEmbedder
from extproc.cache.questions import Questions
from extproc.cache.turn import Likeness
from extproc.counting.engine import EngineClient
from extproc.errors import PolicyError
from extproc.policy.cache import CachePolicy, EmbeddingPolicy, MilvusPolicy, QuestionsPolicy
from extproc.ports import EngineView
from extproc.stores.milvus import MilvusLine, Where

ABSENT = "{0}: {1} is not installed: install it, or {2}"
NO_MODEL = "name engines that make vectors in cache.embedding"

Wanted = tuple[EmbeddingPolicy | None, QuestionsPolicy]


class Listening:
    """What it has heard outlives policies, as long as these want to hear and keep it the same way."""

    def __init__(self, client: EngineClient, view: EngineView) -> None:
        self._client = client
        self._view = view
        self._made: tuple[Wanted, Likeness] | None = None
        self._line: MilvusLine | None = None

    def of(self, policy: CachePolicy) -> Likeness | None:
        """Raises: PolicyError when something is not installed."""
        if not policy.is_semantic:
            return None
        wanted = policy.embedding, policy.questions
        if self._made is None or self._made[0] != wanted:
            check(policy)
            # The guard's words, numpy and a store take 0.2 s and 20 MB that no other policy needs.
            from extproc.cache.semantic import Semantic  # noqa: PLC0415 - see above

            left, self._line = self._line, None
            questions = self._questions(policy)
            self._made = wanted, Semantic(self._embedder(policy.embedding), questions)
            if left is not None:
                left.close()
        return self._made[1]

    def close(self) -> None:
        if self._line is not None:
            self._line.close()

    def _embedder(self, policy: EmbeddingPolicy | None) -> Embedder:
        if policy is None:
            embedded = Embedded()
            embedded.begin()
            return embedded
        asked = Asked(policy.pool, policy.model, policy.deadline_ms / 1000)
        return EngineEmbedder(self._client, self._endpoints, asked)

    def _questions(self, policy: CachePolicy) -> Questions:
        if policy.questions.milvus is None:
            return in_memory(policy.questions)
        from extproc.stores.questions_milvus import MilvusQuestions  # noqa: PLC0415 - see `of`

        self._line = MilvusLine(where(policy.questions.milvus))
        room, kind = policy.questions.room, kind_of(policy.embedding)
        questions = MilvusQuestions(self._line, room, kind)
        if policy.embedding is None:
            questions.begin(DIMS)  # of others' vectors, the first one tells
        return questions

    def _endpoints(self, pool: str) -> Sequence[str]:
        return [each.endpoint for each in self._view.candidates(pool)]


def check(policy: CachePolicy, find: Callable[[str], object] = find_spec) -> None:
    """See that all it wants is installed. Raises: PolicyError."""
    wanted = [("cache.rules.semantic", "numpy", "leave `semantic` out")]
    if policy.embedding is None:
        wanted += [("cache.rules.semantic", name, NO_MODEL) for name in NEEDED]
    if policy.questions.index == "hnsw":
        wanted.append(("cache.questions.index", "usearch", "leave `hnsw` out"))
    if policy.questions.milvus is not None:
        wanted.append(("cache.questions.milvus", "pymilvus", "leave `milvus` out"))
    for place, package, otherwise in wanted:
        if find(package) is None:
            raise PolicyError(ABSENT.format(place, package, otherwise))


def in_memory(policy: QuestionsPolicy) -> Questions:
    from extproc.stores.questions_memory import MemoryQuestions  # noqa: PLC0415 - needs numpy

    if policy.index != "hnsw":
        return MemoryQuestions(policy.room)
    from extproc.cache.graph import Graph  # noqa: PLC0415 - an extra

    return MemoryQuestions(policy.room, Graph)


def where(policy: MilvusPolicy, deadline_s: float | None = None) -> Where:
    """Say where it is, for requests or, with another deadline, for people."""
    return Where(
        str(policy.url).rstrip("/"),
        policy.token.reveal() if policy.token else "",
        policy.database or "",
        policy.collection,
        policy.deadline_ms / 1000 if deadline_s is None else deadline_s,
    )


def kind_of(policy: EmbeddingPolicy | None) -> str:
    """Name what makes vectors: those of different kinds have nothing in common."""
    said = "embedded" if policy is None else f"{policy.pool}\n{policy.model}"
    return hashlib.sha256(said.encode()).hexdigest()
