"""Two real vLLM processes on CPU behind the gateway: what picking by prefixes keeps of their caches.

One process that gets all the traffic has every turn's beginning cached. Two of them could have as
much, if every thread stayed where it was; in turns, they have a good deal less. vLLM's own counters
say how much. With KV events, what the gateway expects to be cached is what usage then reports.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest
import yaml

from engines.localvllm.launch import Server, command_line, environment, last_lines
from engines.localvllm.model import write_model
from engines.vllm import read_load
from tests.e2e.conftest import ROOT, free_port, running, wait_for
from tests.e2e.limits import DEMO

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
CHAT = "/v1/chat/completions"
THREADS, TURNS = 12, 5
LONGEST_TOKENS = 8192
"""Long enough for prompts whose caches are worth more than what two busy cores do to any one look."""
THINK_S = 0.1
"""Between an answer and the next question: nobody who reads asks again at once."""
START_S = 240
SPECULATIVE_S = 2.0
"""So long a pick counts as cached before events must have said so."""


@contextmanager
def started(server, log):
    with log.open("wb") as output:
        process = subprocess.Popen(
            command_line(server), env=environment(server, os.environ),
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(8)
        process.kill()
        process.wait()


def is_ready(server, process, log):
    assert process.poll() is None, last_lines(log)
    with suppress(httpx.TransportError):
        return httpx.get(f"{server.url}/health").status_code == 200
    return False


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """Two, started at once. The first tells what is in its cache; the ports where it does."""
    directory = tmp_path_factory.mktemp("two")
    model, ports = ROOT / ".vllm" / "model-tiny", (free_port(), free_port())
    if not model.exists():
        write_model(model)
    told = json.dumps({
        "enable_kv_cache_events": True, "publisher": "zmq", "topic": "kv",
        "endpoint": f"tcp://*:{ports[0]}", "replay_endpoint": f"tcp://*:{ports[1]}",
    })  # fmt: skip
    servers = [
        Server(ROOT / ".vllm", model, free_port(), max_model_len_tokens=LONGEST_TOKENS, more=more)
        for more in (("--kv-events-config", told), ())
    ]
    logs = [directory / "one.log", directory / "other.log"]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(started(*each)) for each in zip(servers, logs, strict=True)
        ]
        for each in zip(servers, processes, logs, strict=True):
            wait_for(lambda each=each: is_ready(*each), START_S, "vLLM")
        yield [each.url.removeprefix("http://") for each in servers], ports


@pytest.fixture(scope="module")
def gateway(engines, tmp_path_factory):
    """The same two engines in a pool for each way of picking, and the first alone, twice."""
    directory = tmp_path_factory.mktemp("gw")
    shutil.copytree(DEMO, directory / "policy")
    both, (port, replay_port) = engines
    tokenizer = {"file": str(ROOT / ".vllm" / "model-tiny" / "tokenizer.json")}
    pools = [
        {"name": "alone", "endpoints": both[:1]},
        {"name": "affinity", "endpoints": both},
        {"name": "turns", "endpoints": both, "picker": {"algorithm": "round_robin"}},
        {"name": "told", "endpoints": both[:1],
         "kv_events": {"port": port, "replay_port": replay_port}},
    ]  # fmt: skip
    models = [{"name": p["name"], "pool": p["name"], "served_as": "tiny"} for p in pools]
    models[-1]["tokenizer"] = tokenizer
    written = yaml.safe_dump({"pools": pools, "models": models})
    (directory / "policy" / "pools.yaml").write_text(written)
    with running(directory / "s", "--policy", str(directory / "policy")) as own:
        yield own


def count(endpoints):
    """Prompt tokens, and those of them that were cached, by the engines' own counters."""
    loads = [read_load(httpx.get(f"http://{each}/metrics").content) for each in endpoints]
    return [sum(load.prompt_tokens for load in loads), sum(load.cached_tokens for load in loads)]


def talk(gateway, model, number):
    """One thread: each turn is asked with all that was said before."""
    said = [{"role": "user", "content": f"{model} {number} begins. " + "Tell me why. " * 400}]
    with gateway.http() as http:
        for turn in range(TURNS):
            body = {"model": model, "messages": said, "max_tokens": 48, "temperature": 0}
            name = {"x-request-id": f"{model}-{number}-{turn}"}
            answer = http.post(CHAT, json=body, headers=name)
            assert answer.status_code == 200, answer.text
            words = answer.json()["choices"][0]["message"]["content"] or "-"
            time.sleep(THINK_S)
            more = f"Turn {turn}: " + "and what then? " * 160
            said += [{"role": "assistant", "content": words}, {"role": "user", "content": more}]


def share(gateway, endpoints, model, first=0):
    """The cached part of all prompt tokens, when that many threads talk at once."""
    before = count(endpoints)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda number: talk(gateway, model, number), range(first, first + THREADS)))
    after = count(endpoints)
    prompt, cached = (now - then for now, then in zip(after, before, strict=True))
    return cached / prompt


def moves(gateway, model):
    """How often a turn went elsewhere than the one before it."""

    def settled():
        rows = gateway.rows("model = ?", model)
        return len(rows) % (THREADS * TURNS) == 0 and rows

    rows = wait_for(settled, what="all rows")
    went = {row["request_id"]: row["endpoint"] for row in rows}
    turns = [(n, turn) for n in range(THREADS) for turn in range(1, TURNS)]
    return sum(went[f"{model}-{n}-{t}"] != went[f"{model}-{n}-{t - 1}"] for n, t in turns)


def test_affinity_keeps_what_one_process_with_all_the_traffic_has(gateway, engines, capsys):
    share(
        gateway, engines[0], "affinity", THREADS
    )  # it learns how fast they are, and who else sends
    found = {model: share(gateway, engines[0], model) for model in ("alone", "affinity", "turns")}
    with capsys.disabled():
        said = [
            f"{name} {cached:.1%} ({moves(gateway, name)} moves)" for name, cached in found.items()
        ]
        sys.stdout.write(f"\ncached share of prompt tokens: {', '.join(said)}\n")
    assert found["alone"] > 0.5, "the traffic shows nothing"
    assert found["affinity"] >= 0.9 * found["alone"]
    assert found["turns"] < found["affinity"] <= found["alone"] + 0.02
    busy = [len(gateway.rows("model = 'affinity' and endpoint = ?", each)) for each in engines[0]]
    assert min(busy) >= THREADS * TURNS / 5, "one of them had next to nothing to do"


def record(gateway, wanted):
    command = [sys.executable, "-m", "extproc.cli", "explain", wanted, "--json"]
    done = subprocess.run(
        [*command, "--state", str(gateway.state)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return json.loads(done.stdout)["decision"] if not done.returncode else None


def test_what_events_tell_is_what_the_engine_then_finds(gateway):
    """Token for token: salt, template, answers and block size are the engine's own."""
    said = [{"role": "user", "content": "What is known of this? " * 40}]
    found = []
    with gateway.http() as http:
        for turn in range(3):
            body = {"model": "told", "messages": said, "max_tokens": 40, "temperature": 0}
            answer = http.post(CHAT, json=body, headers={"x-headgate-explain": "true"})
            assert answer.status_code == 200, answer.text
            usage = answer.json()["usage"]
            cached = (usage["prompt_tokens_details"] or {}).get("cached_tokens") or 0
            found.append((answer.headers["x-headgate-decision-id"], usage["prompt_tokens"], cached))
            words = answer.json()["choices"][0]["message"]["content"]
            said += [
                {"role": "assistant", "content": words},
                {"role": "user", "content": f"{turn} times more. " * 12},
            ]
            time.sleep(SPECULATIVE_S + 0.3)
    decisions = [wait_for(lambda e=e: record(gateway, e[0]), what="the record") for e in found]
    expected = [(each["prompt_tokens"], each.get("cached_tokens", 0)) for each in decisions]
    assert expected == [(prompt, cached) for _, prompt, cached in found]
    assert {each["block_tokens"] for each in decisions} == {32}
    assert found[-1][2] > found[1][2] > 100
