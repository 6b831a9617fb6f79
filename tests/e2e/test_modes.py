"""The same worker behind Envoys that are configured otherwise: every way to show it a body, for real."""

import asyncio
import hashlib
import os
import subprocess
import sys

import httpx
import pytest
import yaml

from dataplane.gateway import Files, Gateway, Pool
from dataplane.render import endpoints, render, write
from faults.stand import STOP_S
from tests.e2e.conftest import ACME, ROOT, free_port, wait_for
from tests.envoy import Envoy

DEMO = ROOT / "extproc" / "policy" / "demo"
HEADERS = {"authorization": f"Bearer {ACME}"}
SEND, SKIP = "SEND", "SKIP"
MODES = {
    "buffered": {"request_body_mode": "BUFFERED"},
    "none": {"request_body_mode": "NONE"},
    "partial": {"request_body_mode": "BUFFERED_PARTIAL"},
    "streamed": {"request_body_mode": "STREAMED"},
    "streamed, not waiting": {"request_body_mode": "STREAMED", "early": True},
    "duplex": {"request_body_mode": "FULL_DUPLEX_STREAMED", "request_trailer_mode": SEND},
    "answers streamed": {"request_body_mode": "BUFFERED", "response_body_mode": "STREAMED",
                         "response_header_mode": SEND},
    "duplex both ways": {
        "request_body_mode": "FULL_DUPLEX_STREAMED", "request_trailer_mode": SEND,
        "response_header_mode": SEND, "response_body_mode": "FULL_DUPLEX_STREAMED",
        "response_trailer_mode": SEND,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """One worker and one engine; each test brings an Envoy."""
    state = tmp_path_factory.mktemp("m")
    for folder in ("run", "log", "envoy/endpoints", "journal", "metrics", "policy"):
        (state / folder).mkdir(parents=True)
    port = free_port()
    (state / "policy" / "engines.yaml").write_text(
        f"pools: [{{name: local, engine: sim, endpoints: ['127.0.0.1:{port}']}}]\n"
        "models: [{name: demo, pool: local}]\n"
    )
    worker = state / "run" / "worker-0.sock"
    env = {
        **os.environ,
        "HEADGATE_POLICY": f"{DEMO}:{state / 'policy'}",
        "HEADGATE_STATE": str(state),
        "HEADGATE_LISTEN": f"unix:{worker}",
        "PROMETHEUS_MULTIPROC_DIR": str(state / "metrics"),
    }
    engine = [sys.executable, "-m", "engines.sim", "--port", str(port), "--model", "demo",
              "--max-model-len", "3000000", "--ttft-ms", "0", "--itl-ms", "0"]  # fmt: skip
    commands = [engine, [sys.executable, "-m", "extproc"]]
    with (state / "log" / "parts.log").open("wb") as log:
        running = [subprocess.Popen(c, env=env, cwd=ROOT, stdout=log, stderr=log) for c in commands]
    try:
        wait_for(worker.exists, what="the worker")
        wait_for(lambda: b"ready at" in (state / "log" / "parts.log").read_bytes())
        yield state, worker, Pool("local", (f"127.0.0.1:{port}",))
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(STOP_S)


def configure(parts, mode):
    """Render our own configuration and change how ext_proc is shown bodies."""
    state, worker, pool = parts
    gateway = Gateway(port=0, files=Files.under(state), worker_sockets=(worker,), pools=(pool,))
    document = yaml.safe_load(render(gateway))
    chain = document["static_resources"]["listeners"][0]["filter_chains"][0]
    filters = chain["filters"][0]["typed_config"]["http_filters"]
    (ext_proc,) = (f["typed_config"] for f in filters if f["name"] == "headgate.ext_proc")
    mode = dict(mode)
    if mode.pop("early", False):
        ext_proc["send_body_without_waiting_for_header_response"] = True
    ext_proc["processing_mode"].update(mode)
    ext_proc.pop("allowed_override_modes")
    bootstrap = state / "envoy" / "bootstrap.yaml"
    write(yaml.safe_dump(document), bootstrap)
    write(endpoints(pool), gateway.endpoints_file(pool))
    return Envoy(
        bootstrap, admin_socket=gateway.files.admin_socket, log=state / "log" / "envoy.log"
    )


def ask(**more):
    return {
        "model": "demo",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "hi"}],
        **more,
    }


async def until_well(envoy):
    """Wait until Envoy has found both the worker and the engine well: on a busy machine the first look may fail."""
    looked_at = "cluster.(workers|pool/local).membership_healthy"
    async with asyncio.timeout(30):
        while list((await envoy.stats(looked_at)).values()) != [1, 1]:  # noqa: ASYNC110 - it tells only when asked
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
async def test_mode(parts, mode):
    async with (
        configure(parts, mode) as envoy,
        httpx.AsyncClient(base_url=envoy.url, headers=HEADERS, timeout=60) as http,
    ):
        await until_well(envoy)
        models = await http.get("/v1/models")
        assert [card["id"] for card in models.json()["data"]] == ["demo"]

        plain = await http.post("/v1/chat/completions", json=ask())
        assert plain.status_code == 200, plain.text
        assert plain.json()["usage"]["completion_tokens"] == 5

        stream = await http.post("/v1/chat/completions", json=ask(stream=True))
        assert stream.text.endswith("data: [DONE]\n\n")
        assert "usage" not in stream.text

        # A long prompt arrives whole: the engine counts a token for each word.
        words = 300_000
        long = ask(messages=[{"role": "user", "content": "gate " * words}])
        answer = await http.post("/v1/chat/completions", json=long)
        assert answer.json()["usage"]["prompt_tokens"] >= words

        # A long answer arrives whole.
        huge = {"model": "demo", "prompt": "x", "max_tokens": 1, "x_sim": {"fault": "huge:3000000"}}
        text = (await http.post("/v1/completions", json=huge)).json()["choices"][0]["text"]
        assert len(text) >= 3_000_000, hashlib.sha256(text.encode()).hexdigest()

        bad = await http.post("/v1/chat/completions", json=ask(model="none"))
        assert (bad.status_code, bad.json()["error"]["param"]) == (404, "model")
        stranger = await http.post(
            "/v1/chat/completions", json=ask(), headers={"authorization": "x"}
        )
        assert stranger.status_code == 401
        assert await envoy.stats("http.clients.ext_proc.spurious_msgs_received") == {
            "http.clients.ext_proc.spurious_msgs_received": 0
        }
