"""`headgate up` as a person meets it: clear words when something is wrong, and a clean end."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from faults.stand import STOP_S
from tests.e2e.conftest import ROOT, free_port, running, start, wait_for

CHAT = "/v1/chat/completions"


def headgate(*arguments, cwd=ROOT, **env):
    return subprocess.run(
        [sys.executable, "-m", "extproc.cli", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip


def refused(*arguments, **options):
    """Run `up` with flags that cannot work; return what it said, in one line each."""
    done = headgate("up", *arguments, **options)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


@pytest.fixture
def state(tmp_path):
    return ("--state", str(tmp_path / "s"))


@pytest.mark.parametrize(
    ("flag", "other"), [("--port", "--metrics-port"), ("--metrics-port", "--port")]
)
def test_port_taken(state, flag, other):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused(*state, flag, str(taken.getsockname()[1]), other, str(free_port()))
    assert len(said.splitlines()) == 1
    assert flag in said


def test_binary_missing(state, tmp_path):
    assert "no file" in refused(*state, "--envoy", str(tmp_path / "envoy"))


def test_bad_policy_names_file_and_line(state, tmp_path):
    (tmp_path / "p.yaml").write_text("tenants:\n  - name: acme\n    projekts: [a]\nkeyz: []\n")
    said = refused(*state, "--policy", str(tmp_path), "--port", str(free_port()),
                   "--metrics-port", str(free_port()))  # fmt: skip
    assert f"{tmp_path}/p.yaml:3: tenants[0].projekts" in said
    assert f"{tmp_path}/p.yaml:4: keyz" in said
    assert len(said.splitlines()) == 2


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://x", "is not http://HOST:PORT"),
        ("http://127.0.0.1:{port}", "does not list its models"),
        ("http://no.such.host.invalid:80", "cannot be resolved"),
    ],
)
def test_bad_engine(state, url, words):
    with socket.socket() as deaf:  # a port that nobody else can listen on
        deaf.bind(("127.0.0.1", 0))
        url = url.format(port=deaf.getsockname()[1])
        said = refused(*state, "--engine", url, "--port", str(free_port()),
                       "--metrics-port", str(free_port()))  # fmt: skip
    assert len(said.splitlines()) == 1
    assert words in said


def test_state_in_use_and_unusable(tmp_path):
    with running(tmp_path / "s") as gateway:
        assert "Another `headgate up`" in refused("--state", str(gateway.state))
    (tmp_path / "file").touch()
    assert "--state" in refused("--state", str(tmp_path / "file"))
    assert "too long" in refused("--state", str(tmp_path / ("x" * 120)))


def test_ctrl_c_lets_open_answers_finish(tmp_path):
    """An answer that takes a second more is whole; a new connection is refused meanwhile."""
    gateway = start(tmp_path / "a #1%25?")  # a path that says other things in URLs
    children = gateway.children()
    body = {
        "model": "demo", "max_tokens": 30, "stream": True, "x_sim": {"itl_ms": 40},
        "messages": [{"role": "user", "content": "hi"}],
    }  # fmt: skip
    received = []

    def read():
        with gateway.http() as http, http.stream("POST", CHAT, json=body) as answer:
            received.extend(answer.iter_lines())

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(lambda: received)
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.process.wait(STOP_S) == 0
    reader.join()
    assert [line for line in received if line][-1] == "data: [DONE]"
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    (row,) = gateway.rows("operation = 'chat'")
    assert (row["completion_tokens"], row["unsettled"]) == (30, 0)


def test_sigterm_while_starting(tmp_path):
    command = [sys.executable, "-m", "extproc.cli", "up", "--state", str(tmp_path / "s"),
               "--port", str(free_port()), "--metrics-port", str(free_port())]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert "starting" in process.stdout.readline()
        process.terminate()
        assert process.wait(STOP_S) == 0
    left = subprocess.run(
        ["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert not left.stdout


def alive(pids):
    """Those that still run; one that nobody has waited for yet runs no more."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(pid)
    return found


def test_a_closed_terminal_stops_everything(tmp_path):
    """SIGHUP is what its end sends; it ends `up` like SIGTERM."""
    gateway = start(tmp_path / "s")
    try:
        children = gateway.children()
        assert len(children) >= 4
        gateway.process.send_signal(signal.SIGHUP)
        assert gateway.process.wait(STOP_S) == 0
        assert not alive(children)
        assert not list((gateway.state / "run").glob("*.sock"))
    finally:
        gateway.process.kill()


def test_a_killed_up_leaves_no_child_and_the_next_one_starts(tmp_path):
    gateway = start(tmp_path / "s")
    children = gateway.children()
    gateway.process.kill()
    gateway.process.wait(STOP_S)
    try:
        wait_for(lambda: not alive(children), what="the children to follow their parent")
    finally:
        for pid in alive(children):
            os.kill(pid, signal.SIGKILL)
    with running(tmp_path / "s") as again, again.http() as http:
        assert http.get("/v1/models").status_code == 200


def test_what_does_not_answer_holds_up_nothing_and_is_said(tmp_path):
    redis, ledger = (f"127.0.0.1:{free_port()}" for _ in range(2))
    flags = (
        "--redis",
        f"redis://:secret@{redis}",
        "--ledger",
        f"postgresql://me:secret@{ledger}/b",
    )
    with running(tmp_path / "s", *flags) as gateway, gateway.http() as http:
        assert http.get("/v1/models").status_code == 200
        said = (tmp_path / "s.out").read_text()
    assert "--redis does not answer (" in said
    assert "--ledger does not answer (" in said
    assert "secret" not in said


def test_help_and_other_commands(tmp_path):
    assert "--engine" in headgate("up", "--help").stdout
    made = headgate("keys", "new", "k1", "--tenant", "acme", "--salt", "pepper-pepper")
    assert made.stderr.split()[-1].startswith("sk-headgate-")
    policy = "salt: pepper-pepper\ntenants: [{name: acme}]\n" + made.stdout
    (tmp_path / "p.yaml").write_text(policy)
    assert headgate("policy", "check", str(tmp_path)).stdout.startswith("ok: version ")
    (tmp_path / "p.yaml").write_text(policy.replace("acme}", "acmee}"))
    bad = headgate("policy", "check", str(tmp_path))
    assert bad.returncode == 1
    assert "there is no tenant 'acme'" in bad.stderr
