"""One Valkey for all tests of stores; each begins with it empty."""

import tempfile
from pathlib import Path

import pytest

from tests.valkey import Valkey


@pytest.fixture(scope="session")
def valkey_server():
    with tempfile.TemporaryDirectory() as directory, Valkey(Path(directory)) as server:
        yield server


@pytest.fixture
def valkey(valkey_server):
    valkey_server.order("FLUSHALL")
    return valkey_server
