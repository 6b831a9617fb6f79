import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from pathlib import Path

import pytest

from engines.localvllm.launch import (
    EngineError,
    Server,
    command_line,
    environment,
    running,
    wait_ready,
)
from extproc.cli.preflight import free_port

STAND_IN = """
import http.server, pathlib, subprocess, sys
print("starting", *sys.argv[1:3], flush=True)
if "broken" in sys.argv:
    sys.exit("no such model")
child = subprocess.Popen(["sleep", "60"])
pathlib.Path(__file__).with_name("child").write_text(str(child.pid))
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("content-length", "0")
        self.end_headers()
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""
"""Takes vLLM's place under its module name, and leaves a child behind as vLLM does when killed."""


@dataclass
class Running:
    returncode: int | None = None


def alive(pid: int) -> bool:
    """Whether the process still runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def ignore(_elapsed_s: float) -> None:
    pass


@pytest.fixture
def server(tmp_path: Path) -> Server:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    module = tmp_path / "vllm" / "entrypoints" / "openai"
    module.mkdir(parents=True)
    (module / "api_server.py").write_text(STAND_IN)
    return Server(tmp_path, tmp_path / "model", free_port())


def base(server: Server) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(server.directory)}


def test_the_command_line_says_all_that_the_server_is(tmp_path: Path):
    server = Server(tmp_path, tmp_path / "model", 8123, "small", 0.5, 64, 2048)
    line = command_line(server)
    options = dict(pairwise(line))
    assert line[:3] == (
        str(tmp_path / "bin" / "python"), "-m", "vllm.entrypoints.openai.api_server",
    )  # fmt: skip
    assert options["--model"] == str(tmp_path / "model")
    assert options["--served-model-name"] == "small"
    assert (options["--host"], options["--port"]) == ("127.0.0.1", "8123")
    assert options["--max-model-len"] == "2048"
    assert options["--block-size"] == "64"
    assert options["--kv-cache-memory-bytes"] == str(2**29)
    assert {"--enable-prefix-caching", "--enable-prompt-tokens-details", "--enforce-eager"} <= {
        *line
    }


def test_relative_paths_hold_wherever_the_server_starts():
    line = command_line(Server(Path(".vllm"), Path("model"), 1))
    assert Path(line[0]).is_absolute()
    assert Path(line[line.index("--model") + 1]).is_absolute()


def test_the_environment_adds_to_the_given_one(tmp_path: Path):
    given = {"PATH": "/bin", "OMP_NUM_THREADS": "64"}
    made = environment(Server(tmp_path, tmp_path, 1), given)
    assert made["PATH"] == "/bin"
    assert made["OMP_NUM_THREADS"] == "1"
    assert made["VLLM_CACHE_ROOT"] == str(tmp_path / "cache")
    assert given == {"PATH": "/bin", "OMP_NUM_THREADS": "64"}


@pytest.fixture
async def late() -> AsyncIterator[str]:
    """A server whose first answer to /health is 503, all others 200."""
    answers = chain([b"503 Service Unavailable"], repeat(b"200 OK"))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        writer.write(head % next(answers))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def test_ready_is_when_health_says_so(late: str, tmp_path: Path):
    told: list[float] = []
    elapsed_s = await wait_ready(late, Running(), tmp_path / "log", 20, told.append)
    assert 0 < elapsed_s < 20
    assert len(told) == 1


async def test_a_dead_server_is_reported_with_the_end_of_its_log(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(EngineError, match=r"ended with code 3") as caught:
        await wait_ready(url, Running(3), log, 20, ignore)
    assert str(caught.value).endswith("line 98\nline 99")
    assert "line 80" not in str(caught.value)


@pytest.mark.parametrize(("text", "end"), [(None, "no log"), ("", "the log is empty")])
async def test_a_slow_server_is_given_up_even_without_a_log(
    tmp_path: Path, text: str | None, end: str
):
    log = tmp_path / "log"
    if text is not None:
        log.write_text(text)
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(EngineError, match=f"(?s)is not ready after 0 s.*{end}"):
        await wait_ready(url, Running(), log, 0, ignore)


async def test_a_server_runs_for_the_length_of_the_block(server: Server, tmp_path: Path):
    log = tmp_path / "log"
    async with running(server, base(server), log, ignore) as process:
        child = int((tmp_path / "vllm/entrypoints/openai/child").read_text())
        os.kill(child, 0)
        assert process.returncode is None
    assert process.returncode is not None
    assert log.read_text().startswith(f"starting --model {server.model}")
    async with asyncio.timeout(30):
        while alive(child):  # noqa: ASYNC110 - the end of a grandchild raises no event
            await asyncio.sleep(0.01)


async def test_a_server_that_fails_to_start_is_no_riddle(server: Server, tmp_path: Path):
    broken = Server(server.directory, server.model, server.port, served_name="broken")
    with pytest.raises(EngineError, match=r"(?s)ended with code 1.*no such model"):
        async with running(broken, base(server), tmp_path / "log", ignore):
            pytest.fail("it never became ready")
