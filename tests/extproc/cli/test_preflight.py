import socket
import subprocess
import sys

import pytest

from extproc.cli.preflight import PORTS, UpError, free_port

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
