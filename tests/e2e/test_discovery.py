"""Endpoints that nobody names in the policy, and a watch process that dies."""

import os
import shutil
import signal

import pytest
import yaml

from extproc.cli.plan import DEMO_POLICY
from tests.e2e.conftest import running, wait_for
from tests.e2e.recording import recording

pytestmark = pytest.mark.long

CHAT = "/v1/chat/completions"
BODY = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}


def write_policy(tmp_path, *ports):
    """The demo's tenants, and a pool of whatever the name has for addresses, at these ports."""
    directory = tmp_path / "policy"
    if not directory.exists():
        shutil.copytree(DEMO_POLICY, directory)
    dns = [{"dns": {"host": "127.0.0.1", "port": port, "interval_s": 0.2}} for port in ports]
    sections = {
        "pools": [{"name": "found", "discover": dns}],
        "models": [{"name": "demo", "pool": "found"}],
    }
    (directory / "pools.yaml").write_text(yaml.safe_dump(sections))
    return str(directory)


def test_what_a_name_stands_for_is_served_without_being_named(tmp_path):
    with recording() as one, recording() as other:
        policy = write_policy(tmp_path, one.server_port)
        with running(tmp_path / "s", "--policy", policy) as own, own.http() as http:

            def served_by():
                answer = http.post(CHAT, json=BODY)
                if answer.status_code != 200:
                    # Nobody was found yet, or Envoy is still to be told.
                    code = answer.json()["error"]["code"]
                    assert code in {"no_endpoint", "engine_unavailable"}
                    return None
                return own.row(answer.headers["x-request-id"])["endpoint"]

            wait_for(lambda: served_by() == f"127.0.0.1:{one.server_port}", what="it to be found")
            write_policy(tmp_path, other.server_port)
            wait_for(lambda: served_by() == f"127.0.0.1:{other.server_port}", what="the other one")


def test_a_killed_watch_process_stops_nothing_and_is_back(tmp_path):
    with running(tmp_path / "s", "--workers", "1") as own, own.http() as http:
        log = own.state / "log" / "worker-0.log"
        (first,) = own.pids_of("-m engines.watch ")
        os.kill(first, signal.SIGKILL)
        assert {http.post(CHAT, json=BODY).status_code for _ in range(10)} == {200}
        wait_for(lambda: set(own.pids_of("-m engines.watch ")) - {first}, what="another one")
        os.kill(own.pids_of("engines.sim")[0], signal.SIGSTOP)
        try:
            told = 'event":"endpoint_ejected"'
            wait_for(lambda: told in log.read_text(), what="news of it")
        finally:
            os.kill(own.pids_of("engines.sim")[0], signal.SIGCONT)
        assert http.post(CHAT, json=BODY).status_code == 200
        wait_for(
            lambda: 'headgate_engine_looks_total{result="ok"}' in own.metrics(), what="its metrics"
        )
