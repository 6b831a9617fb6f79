"""Questions in a Milvus, through the whole gateway: how they are found, and what happens when it is gone."""

import itertools
import signal
import time

import httpx
import pytest

from tests.e2e.conftest import ACME, wait_for
from tests.e2e.limits import limited
from tests.e2e.test_cache import ask, headgate, post, said
from tests.milvus import Milvus

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def milvus(tmp_path_factory):
    with Milvus(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory, milvus):
    cache = {
        "rules": [{"tenants": ["acme"], "ttl": "10m", "semantic": {}}],
        "questions": {"milvus": {"url": milvus.url, "deadline_ms": 1000}},
    }
    directory = tmp_path_factory.mktemp("shared")
    with limited(directory, flags=("--workers", "1"), cache=cache) as gateway:
        yield gateway


def found(gateway, text):
    """Ask on a connection of its own: whichever worker gets it."""
    return said(post(gateway, ask(text), ACME))


def test_what_sounds_alike_is_found_there(shared):
    numbers = itertools.count()

    def is_ready():
        """The model has loaded, and there is a collection: what was kept before is only found exactly."""
        number = next(numbers)
        found(shared, f"How do I open door {number}?")
        told = found(shared, f"Please, how can I open door {number}")
        assert found(shared, f"How do I not open door {number}?") == "miss"
        return told.startswith("hit; kind=semantic")

    wait_for(is_ready, what="an alike question to be found", deadline_s=60)


def test_it_can_be_looked_at_and_purged(shared):
    told = headgate("cache", "stats", "--state", str(shared.state))
    assert "questions in" in told.stdout, told.stderr
    done = headgate("cache", "purge", "--tenant", "acme", "--state", str(shared.state), "--yes")
    assert "in Milvus" in done.stdout, done.stderr
    assert found(shared, "Please tell me, how can I open door 0?") == "miss"


def test_a_milvus_that_hangs_and_one_that_is_gone_cost_nobody_an_answer(shared, milvus):
    milvus.process.send_signal(signal.SIGSTOP)
    began_s = time.monotonic()
    told = [found(shared, f"How do I open box {number}?") for number in range(12)]
    assert told == ["miss"] * 12
    assert time.monotonic() - began_s < 30, "three deadlines of 1 s, and no more"
    assert found(shared, "How do I open box 3?").startswith("hit; kind=exact")
    milvus.process.kill()
    assert found(shared, "How do I open box 99?") == "miss"

    def told_of():
        text = httpx.get(f"http://127.0.0.1:{shared.metrics_port}/metrics").text
        return 'headgate_cache_requests_total{reason="questions",result="fault"}' in text

    wait_for(told_of, what="the metrics")
