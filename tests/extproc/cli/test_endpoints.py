"""`headgate endpoints`, as it is typed, against a real hub on a real socket."""

import asyncio
import json
import threading
from contextlib import contextmanager
from time import monotonic

import pytest
import typer
from typer.testing import CliRunner

from engines.load import Load
from engines.rates import Rates
from engines.watch.hub import NAME, Hub
from engines.watch.messages import Look, Member, Members, Picked
from extproc.cli.endpoints import endpoints
from extproc.policy.status import StatusFile

A, B = "10.0.0.1:8000", "10.0.0.2:8000"


def fill(hub):
    now_s = monotonic()
    hub.tell_members(
        Members({"gpus": (Member(A), Member(B, "draining")), "cpus": (Member("c:1"),)})
    )
    load = Load(running=3, waiting=12, kv_usage=0.5, prompt_tokens=100, cached_tokens=75)
    hub.tell_looks([Look(A, now_s, "", load, Rates(8000.0, 0.021)), Look(B, now_s, "refused")])
    hub.tell_looks([Look("c:1", now_s, "unreadable")])
    hub._flights.pick(Picked("k1", "gpus", A, now_s, 10, 0), now_s)


@contextmanager
def listening(run, fill=fill):
    """A hub in a thread of its own: the command has an event loop itself."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve():
        hub = Hub()
        async with hub.serving(run / NAME):
            fill(hub)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(30)
        loop.close()


@pytest.fixture
def state(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path


def typed(state, *words, width=80):
    app = typer.Typer()
    app.command()(endpoints)
    return CliRunner().invoke(app, [*words, "--state", str(state)], env={"COLUMNS": str(width)})


def test_the_table_fits_a_terminal(state):
    with listening(state / "run"):
        done = typed(state)
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    lines = [line.split() for line in done.output.splitlines() if line.strip()]
    assert lines[0] == ["pool", "endpoint", "state", "run", "wait", "KV", "%", "ours", "tok/s",
                        "ITL", "ms", "hit", "%", "age", "s", "warm", "%"]  # fmt: skip
    rows = {line[1]: line for line in lines[2:] if len(line) > 2}
    assert rows[A][:10] == ["gpus", A, "ready", "3", "12", "50", "1", "8000", "21.0", "75"]
    assert rows[B][:4] == ["gpus", B, "draining", "-"]
    assert rows["c:1"][:4] == ["cpus", "c:1", "ready", "-"]


def test_ipv6_is_shown_in_full(state):
    endpoint = "[fd00::1]:8000"

    def fill(hub):
        hub.tell_members(Members({"gpus": (Member(endpoint),)}))

    with listening(state / "run", fill):
        done = typed(state)
    assert endpoint in done.output


def test_whatever_a_model_is_called(state):
    file = StatusFile.begin(state / "run", "unix:worker-0.sock", [], "v1")
    file.ail({"gpus": {A: ("open", ("errors:[/a]",))}})
    with listening(state / "run"):
        done = typed(state, width=120)
    assert done.exit_code == 0, done.output
    assert "open (errors:[/a])" in done.output


def test_for_programs_and_of_one_pool(state):
    with listening(state / "run"):
        rows = json.loads(typed(state, "--pool", "gpus", "--json").output)
    assert [(each["endpoint"], each["state"]) for each in rows] == [(A, "ready"), (B, "draining")]
    assert rows[0]["cached_share"] == 0.75
    assert rows[1]["reasons"] == ["draining", "refused"]


def test_what_workers_know(state):
    file = StatusFile.begin(state / "run", "unix:worker-0.sock", [], "v1")
    file.ail({"gpus": {A: ("open", ("errors:llama",))}})
    with listening(state / "run"):
        rows = json.loads(typed(state, "--json").output)
    found = {each["endpoint"]: (each["state"], each["reasons"]) for each in rows}
    assert found[A] == ("open", ["errors:llama"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nobody looks at engines"),
        (("--json", "--watch"), "exclude each other"),
    ],
)
def test_without_a_gateway(state, words, said):
    done = typed(state, *words)
    assert (done.exit_code, said in done.output) == (1, True)


def test_a_pool_that_is_not_there(state):
    with listening(state / "run"):
        done = typed(state, "--pool", "tpus")
    assert (done.exit_code, done.output) == (1, "there is no pool 'tpus'\n")
