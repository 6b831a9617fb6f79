"""On a socket of its own: nobody else's to open, and gone after a stop."""

import os
import signal
import socket
import stat
import subprocess
import sys

import httpx
import pytest

from sidecars.common.serve import listen


def test_the_socket_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "s"
    path.write_text("left by somebody who was killed")
    before = os.umask(0o022)
    try:
        with listen(path) as listening:
            assert listening.family == socket.AF_UNIX
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_where_nobody_can_listen(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        listen(tmp_path / "gone" / "s")


def test_it_serves_until_it_is_told_to_stop(tmp_path):
    path = tmp_path / "s"
    command = [
        *(sys.executable, "-m", "sidecars.ledger", "--socket", str(path)),
        *("--ledger", str(tmp_path / "none.sqlite")),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            # The file is there a moment before anybody listens.
            assert '"event":"ready"' in process.stderr.readline()
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
                long = {"x-long": "y" * 100_000}  # what Envoy may let through, and more
                assert client.get("http://x/headgate/v1/openapi.json", headers=long).is_success
                assert client.get("http://x/headgate/v1/usage/requests").status_code == 403
                own = {"x-headgate-scope": "tenant", "x-headgate-tenant": "acme"}
                answer = client.get("http://x/headgate/v1/usage/requests", headers=own)
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "ledger_unavailable"
            assert str(tmp_path) not in answer.text
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
        said = process.stderr.read()
    assert '"event":"stopped"' in said
    assert "Traceback" not in said
    assert not path.exists()
