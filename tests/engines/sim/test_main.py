"""The process: its flags, its end, and the real SDK against a real port."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from urllib.request import Request, urlopen

import pytest
from openai import NotFoundError, OpenAI

from engines.sim.__main__ import main
from engines.sim.faults import Kind
from extproc.cli.preflight import free_port

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "engines.sim"]
Launch = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Start a process and wait until it says where it listens."""
    with ExitStack() as stack:

        def launch(*flags: str) -> tuple[subprocess.Popen[str], str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [*COMMAND, *flags],
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            line = process.stdout.readline()
            assert " is ready at http://127.0.0.1:" in line
            return process, line.split()[-1]

        yield launch


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what it complained about."""
    _, complaint = process.communicate(timeout=20)
    return process.returncode, complaint


def ask(url: str, **members: object) -> bytes:
    body = {"messages": [{"role": "user", "content": "hi"}], **members}
    request = Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=20) as answer:
        return answer.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_when_nothing_runs(launch: Launch, number: signal.Signals):
    process, url = launch("--ttft-ms", "0", "--itl-ms", "0")
    ask(url)
    process.send_signal(number)
    assert ended(process) == (0, "")


def test_an_open_stream_is_finished_and_no_other_is_taken(launch: Launch):
    process, url = launch()
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps(
        {
            "messages": [],
            "stream": True,
            "max_tokens": 10,
            "ignore_eos": True,
            "x_sim": {"ttft_ms": 300, "itl_ms": 100},
        }
    )
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n{body}".encode())
        received = connection.recv(65536)
        assert b"200 OK" in received

        process.send_signal(signal.SIGTERM)
        while data := connection.recv(65536):
            received += data

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=5)
    assert received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert ended(process) == (0, "")


def test_a_request_that_hangs_does_not_keep_it(launch: Launch):
    process, url = launch()
    host, port = url.removeprefix("http://").split(":")
    body = b'{"messages":[],"x_sim":{"fault":"hang"}}'
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = b"Host: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n%b\r\n%b" % (head, body))
        ask(url, max_tokens=1)  # who came before is being served by then
        process.send_signal(signal.SIGTERM)
        assert connection.recv(1) == b""
    assert ended(process) == (0, "")


def test_the_ready_descriptor_gets_the_url_and_sigterm_ends_main():
    read, write = os.pipe()
    answers: list[bytes] = []

    def ask_and_end() -> None:
        with os.fdopen(read) as ready:
            url = ready.read().removesuffix("\n")
        answers.append(ask(url, max_tokens=3))
        os.kill(os.getpid(), signal.SIGTERM)

    client = Thread(target=ask_and_end)
    client.start()
    assert main(["--ready-fd", str(write), "--ttft-ms", "1"]) == 0
    client.join(timeout=20)
    assert json.loads(answers[0])["usage"]["completion_tokens"] == 3


def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"engines.sim: cannot listen on 127.0.0.1:{port}: ")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--port", "70000"],
        ["--port", "http"],
        ["--ttft-ms", "-1"],
        ["--itl-ms", "nan"],
        ["--fail-rate", "1.5"],
        ["--block-size", "0"],
        ["--model"],
        ["--nonsense"],
    ],
)
def test_bad_flags(flags: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        main(flags)
    assert flags[0] in capsys.readouterr().err


def test_help_tells_of_every_fault(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert all(kind in told for kind in Kind)


def test_the_openai_sdk(launch: Launch):
    _, url = launch("--ttft-ms", "1", "--itl-ms", "1", "--model", "tiny")
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["tiny"]
        whole = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "Hello, world!"}]
        )
        assert whole.usage is not None
        assert whole.usage.prompt_tokens == 7
        assert whole.usage.prompt_tokens_details is not None
        assert whole.usage.prompt_tokens_details.cached_tokens == 0

        chunks = list(
            client.chat.completions.create(
                model="tiny",
                messages=[{"role": "user", "content": "Hello, world!"}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == whole.choices[0].message.content
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens

        assert client.completions.create(model="tiny", prompt="a").choices[0].text
        assert len(client.embeddings.create(model="tiny", input="a").data[0].embedding) == 64
        with pytest.raises(NotFoundError, match="`gpt` does not exist"):
            client.chat.completions.create(model="gpt", messages=[])


def test_with_a_profile_and_kv_events():
    process = subprocess.Popen(
        [*COMMAND, "--profile", "cpu-tiny", "--kv-events", "0", "--kv-replay", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("KV events at tcp://127.0.0.1:")
        url = process.stdout.readline().split()[-1]
        assert json.loads(ask(url, max_tokens=3))["usage"]["completion_tokens"] == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()


def test_while_it_starts_up_nobody_is_let_in():
    port = free_port()
    command = [*COMMAND, "--port", str(port), "--startup-s", "30"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        process.terminate()
        assert process.communicate(timeout=20)[0] == ""


def test_a_crash_is_the_end_of_the_process(launch: Launch):
    process, url = launch()
    with pytest.raises(OSError, match="closed"):
        urlopen(Request(f"{url}/x_sim/faults", b'{"crash":true}'), timeout=20)
    assert ended(process)[0] == 134


@pytest.mark.parametrize("tool", ["calibrate", "validate"])
def test_the_tools_have_their_own_flags(tool: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main([tool, "--help"])
    assert f"python -m engines.sim {tool}" in capsys.readouterr().out
