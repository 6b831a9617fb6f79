"""Servers that do not answer when `headgate up` starts."""

import asyncio
import socket

import pytest

from extproc.cli.preflight import free_port
from extproc.cli.reachable import find_silent
from tests.valkey import Valkey

PATIENT_S = 10.0
"""Where there is an answer, or a refusal at once."""
HASTY_S = 0.05


async def test_what_answers_is_not_spoken_of(tmp_path):
    with Valkey(tmp_path) as valkey, socket.create_server(("127.0.0.1", 0)) as postgres:
        ledger = f"postgresql+psycopg://me:secret@127.0.0.1:{postgres.getsockname()[1]}/usage"
        assert await find_silent(valkey.url, ledger, PATIENT_S) == []


@pytest.mark.parametrize("ledger", ["", "a/path", "//[odd", "sqlite:////a", "postgresql:///b",
                                    "postgresql://a:1,b:2/c"])  # fmt: skip
async def test_what_cannot_be_asked_is_not_spoken_of(ledger):
    assert await find_silent("", ledger, PATIENT_S) == []


async def test_what_refuses_is_named_without_its_password():
    one, other, third = (f"127.0.0.1:{free_port()}" for _ in range(3))
    said = await find_silent(
        f"redis://:secret@{one} redis://:secret@{other}",
        f"postgresql://me:secret@{third}/usage",
        PATIENT_S,
    )
    assert [line.partition(" (")[0] for line in said] == [
        "--redis does not answer",
        "--redis does not answer",
        "--ledger does not answer",
    ]
    assert "secret" not in "".join(said)
    assert all(
        place.partition(":")[2] in line
        for place, line in zip((one, other, third), said, strict=True)
    )


async def test_counters_that_let_nobody_in_are_as_good_as_silent(tmp_path):
    with Valkey(tmp_path, "--requirepass", "secret") as valkey:
        (line,) = await find_silent(valkey.url, "", PATIENT_S)
    assert "NOAUTH" in line


async def test_what_says_nothing_is_waited_for_no_longer_than_told():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}"
        async with asyncio.timeout(5):
            (line,) = await find_silent(url, "", HASTY_S)
    assert line.startswith("--redis does not answer (no ")
