"""One Valkey for all tests of stores; each begins with it empty. And one Milvus, where each has a
collection of its own."""

import tempfile
from pathlib import Path

import pytest

from tests.milvus import Milvus
from tests.valkey import Valkey


@pytest.fixture(scope="session")
def valkey_server():
    with tempfile.TemporaryDirectory() as directory, Valkey(Path(directory)) as server:
        yield server


@pytest.fixture
def valkey(valkey_server):
    valkey_server.order("FLUSHALL")
    return valkey_server


@pytest.fixture(scope="session")
def milvus():
    with tempfile.TemporaryDirectory() as directory, Milvus(Path(directory)) as server:
        yield server
