"""Health and decisions, through real Envoy: an engine that fails is left out and comes back, and
people can see it, and why a request went where it went."""

import contextlib
import json
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.e2e.conftest import GLOBEX, running, wait_for
from tests.e2e.limits import CHAT, DEMO, ask
from tests.e2e.recording import recording

EXPLAIN = {"x-headgate-explain": "true"}


def cli(gateway, *words, code=0):
    command = [sys.executable, "-m", "extproc.cli", *words, "--state", str(gateway.state)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def endpoints(gateway):
    return {each["endpoint"]: each for each in json.loads(cli(gateway, "endpoints", "--json"))}


def record(gateway, wanted):
    """Once it is written."""
    with contextlib.suppress(AssertionError):
        return json.loads(cli(gateway, "explain", wanted, "--json"))
    return None


def test_why_a_request_went_where_it_went(gateway):
    with gateway.http() as http:
        answer = http.post(CHAT, json=ask("why there? " * 100), headers=EXPLAIN)
    decision, request_id = (answer.headers[f"x-{n}-id"] for n in ("headgate-decision", "request"))
    row = gateway.row(request_id)
    found = wait_for(lambda: record(gateway, decision), what="the record")
    told = found["decision"]
    assert (told["id"], told["request_id"], told["why"]) == (decision, request_id, "asked")
    assert (told["tenant"], told["model"], told["policy"]) == ("acme", "demo", row["policy"])
    engines = {each["endpoint"] for each in told["candidates"]}
    assert len(engines) == 2
    assert set(told["chosen"]) == engines
    assert all({"queue_s", "prefill_s"} <= each["terms"].keys() for each in told["candidates"])
    assert found["outcome"]["endpoint"] == row["endpoint"] == told["chosen"][0]
    assert "why there" not in json.dumps(told)
    said = " ".join(cli(gateway, "explain", request_id).split())
    assert f"{told['chosen'][0]} was chosen among 2" in said
    assert f"It went to {row['endpoint']}: status 200; first token after" in said


def test_only_whom_the_policy_names_gets_a_record(gateway):
    with gateway.http(GLOBEX) as http:
        answer = http.post(CHAT, json=ask(), headers=EXPLAIN)
    assert answer.status_code == 200
    gateway.row(answer.headers["x-request-id"])
    said = cli(gateway, "explain", answer.headers["x-headgate-decision-id"], code=1)
    assert "it was not asked for and not drawn" in said
    assert "no such decision" in cli(gateway, "explain", "nobody-knows", code=1)


def test_a_decision_has_the_id_that_the_gateway_gives_it(gateway):
    forged = {"x-headgate-decision-id": "forged"}
    with gateway.http() as http:
        served = http.post(CHAT, json=ask(), headers=forged)
        refused = http.post(CHAT, json=ask() | {"model": "unknown"}, headers=forged)
    assert (
        served.headers["x-headgate-decision-id"]
        == gateway.row(served.headers["x-request-id"])["settle_key"]
    )
    assert "x-headgate-decision-id" not in refused.headers


def test_engines_as_they_are(gateway):
    def both_ready():
        found = endpoints(gateway)
        ready = [e for e in found.values() if e["state"] == "ready" and e["running"] is not None]
        return found if len(ready) == len(found) == 2 else None

    found = wait_for(both_ready, what="looks at both")
    table = cli(gateway, "endpoints", "--pool", "local")
    assert all(name in table for name in found)


@pytest.fixture
def failing(tmp_path):
    """A gateway before two engines; the first fails until its status is changed."""
    policy = tmp_path / "policy"
    shutil.copytree(DEMO, policy)
    with recording() as sick, recording() as well:
        names = [f"127.0.0.1:{engine.server_port}" for engine in (sick, well)]
        sick.status = 500
        pool = {
            "name": "two", "endpoints": names, "picker": {"algorithm": "round_robin"},
            "health": {"open_s": 2, "open_most_s": 2, "slow_start_s": 0},
        }  # fmt: skip
        written = {"pools": [pool], "models": [{"name": "demo", "pool": "two"}]}
        (policy / "pools.yaml").write_text(yaml.safe_dump(written))
        with running(tmp_path / "s", "--policy", str(policy)) as own:
            yield own, names[0], sick


def test_an_engine_that_fails_is_left_out_and_comes_back(failing):
    own, name, sick = failing
    with own.http() as http:
        statuses = []
        while statuses[-10:] != [200] * 10:  # or else each second one would fail
            statuses.append(http.post(CHAT, json=ask()).status_code)
            assert len(statuses) < 1000
        assert statuses.count(500) >= 5
        shown = wait_for(lambda: find_open(own, name), what="the open breaker")
        assert shown["reasons"] == ["errors:demo"]
        told = 'headgate_endpoint_ejections_total{pool="two",reason="errors"}'
        wait_for(lambda: told in own.metrics(), what="the metrics")
        sick.status = 200
        before = len(sick.seen)

        def is_back():
            http.post(CHAT, json=ask())
            return len(sick.seen) > before + 5

        wait_for(is_back, what="the engine to be used again")
    wait_for(lambda: endpoints(own)[name]["state"] == "ready", what="a closed breaker")

    def is_logged():
        logs = "".join(path.read_text() for path in (own.state / "log").glob("worker-*.log"))
        return all(f"endpoint_{what}" in logs for what in ("ejected", "tried", "readmitted"))

    wait_for(is_logged, what="the logs")


def find_open(own, name):
    found = endpoints(own)[name]
    return found if found["state"] in {"open", "half_open"} else None
