"""Names in English and Chinese, found by the models that `make names` installs: through real Envoy."""

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.echoing import echoing
from tests.e2e.limits import CHAT, limited

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
TOKEN = "e2e-names-token"
PEOPLE = ("Mona Lindqvist", "王小明")
COMPANIES = ("Acme Corporation", "腾讯公司")


@contextlib.contextmanager
def names():
    command = [
        ROOT / ".names/bin/python",
        "-m",
        "sidecars.names",
        "--port",
        "0",
        "--log-form",
        "json",
    ]
    env = {"PATH": os.environ["PATH"], "HEADGATE_NAMES_TOKEN": TOKEN}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, cwd=ROOT) as process:
        try:
            yield json.loads(process.stderr.readline())["url"]
        finally:
            process.terminate()
            assert json.loads(process.stderr.read().splitlines()[-1])["event"] == "stopped"
    assert process.returncode == 0


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    with names() as url, echoing() as engine:
        detector = {"url": url, "timeout_ms": 4000, "token": {"env": "NAMES_TOKEN"}}
        pii = {
            "key": {"env": "PII_KEY"},
            "rules": [{"types": {"person": "mask", "organization": "mask"}}],
            "detector": detector,
        }
        with limited(
            tmp_path_factory.mktemp("names"),
            flags=("--engine", engine.url, "--workers", "1"),
            env={**os.environ, "PII_KEY": "0123456789abcdef0123456789", "NAMES_TOKEN": TOKEN},
            pii=pii,
        ) as gateway:
            yield gateway, engine


def test_names_never_reach_the_engine_and_come_back_to_the_client(both):
    gateway, engine = both
    text = (
        f"Please ask {PEOPLE[0]} at {COMPANIES[0]} to call me back.\n"
        f"我昨天和{COMPANIES[1]}的{PEOPLE[1]}通了电话。"
    )
    messages = [{"role": "user", "content": text}]
    with gateway.http() as http:
        answer = http.post(CHAT, json={"model": "demo", "messages": messages})
    assert answer.status_code == 200
    assert answer.headers["x-headgate-pii"] == "masked=4"
    for name in (*PEOPLE, *COMPANIES):
        assert name in json.dumps(answer.json(), ensure_ascii=False)
        assert name not in engine.seen[-1]
    assert len(re.findall(r"<PERSON_", engine.seen[-1])) == 2


def test_a_text_without_names_passes_as_it_is(both):
    gateway, engine = both
    messages = [{"role": "user", "content": "How do I reverse a linked list?"}]
    with gateway.http() as http:
        answer = http.post(CHAT, json={"model": "demo", "messages": messages})
    assert "x-headgate-pii" not in answer.headers
    assert "How do I reverse a linked list?" in engine.seen[-1]


def test_a_taken_port_is_said_in_one_line():
    with names() as url:
        port = url.split(":")[-1].split("/")[0]
        command = [
            ROOT / ".names/bin/python",
            "-m",
            "sidecars.names",
            "--port",
            port,
            "--log-form",
            "json",
        ]
        again = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=180
        )
    (line,) = again.stderr.splitlines()
    assert again.returncode == 1
    assert "in use" in json.loads(line)["reason"]
