"""What a policy may say of the cache."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from extproc.cache.questions import Room
from extproc.policy.cache import CachePolicy, CacheRulePolicy, QuestionsPolicy, check_cache

KNOWN = {"tenants": {"acme"}, "models": {"m"}, "pools": {"p"}}


@pytest.mark.parametrize(
    ("given", "seconds"), [("90s", 90), ("5m", 300), ("7d", 604_800), (60, 60), (0, 0)]
)
def test_durations(given, seconds):
    assert CacheRulePolicy(ttl=given).rule().ttl_s == seconds


@pytest.mark.parametrize(
    ("bill", "part"), [("free", 0), ("full", 1), (0.1, Decimal("0.1")), ("0.25", Decimal("0.25"))]
)
def test_bills(bill, part):
    assert CacheRulePolicy(bill=bill).rule().bill == part


@pytest.mark.parametrize(
    "given",
    [
        {"ttl": "5 minutes"},
        {"ttl": "32d"},
        {"ttl": -1},
        {"bill": 1.5},
        {"bill": "cheap"},
        {"max_temperature": 3},
        {"semantic": {"threshold": 0.1}},
        {"share": "everybody"},
        {"x": 1},
    ],
)
def test_mistakes(given):
    with pytest.raises(ValidationError):
        CacheRulePolicy(**given)


def test_it_is_off_and_has_a_bound():
    assert not CachePolicy().rules
    assert CachePolicy().most_bytes == 256 * 1024 * 1024
    assert CachePolicy(max_mb=1).most_bytes == 1024 * 1024


def test_semantic():
    assert not CachePolicy(rules=[{}]).is_semantic
    policy = CachePolicy(rules=[{"semantic": {}}])
    assert policy.is_semantic
    assert policy.compiled_rules()[0].semantic.threshold == 0.75


def test_what_points_nowhere():
    policy = CachePolicy(
        rules=[{"tenants": ["acme", "globex"], "models": ["n"]}],
        embedding={"pool": "q", "model": "bge"},
    )
    assert [place for place, _ in check_cache(policy, KNOWN)] == [
        ("cache", "rules", 0, "tenants"),
        ("cache", "rules", 0, "models"),
        ("cache", "embedding", "pool"),
    ]


def test_where_questions_are_kept():
    assert CachePolicy().questions.room == Room(20_000, 5_000, 1_000)
    graph = QuestionsPolicy(index="hnsw", max=100_000)
    assert graph.room == Room(100_000, 25_000, 25_000), "a graph need not look at all"
    shared = QuestionsPolicy(max=10**7, max_of_tenant=10**6, milvus={"url": "http://m:19530"})
    assert shared.room == Room(10**7, 10**6, 10**6)
    assert QuestionsPolicy(max=400).room.most_of_conversation <= 1_000


@pytest.mark.parametrize(
    "given",
    [
        {"index": "ivf"},
        {"max": 10},
        {"max": 2_000_000},
        {"max": 1_000, "max_of_tenant": 1_001},
        {"index": "exact", "milvus": {"url": "http://m:19530"}},
        {"milvus": {"url": "./here.db"}},
        {"milvus": {"url": "http://user:word@m:19530"}},
        {"milvus": {"url": "http://m:19530", "token": "secret"}},
        {"milvus": {"url": "http://m:19530", "collection": "a-b"}},
        {"milvus": {"url": "http://m:19530", "deadline_ms": 0}},
    ],
)
def test_mistakes_about_questions(given):
    with pytest.raises(ValidationError):
        QuestionsPolicy(**given)
