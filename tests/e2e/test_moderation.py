"""What may not be asked or said, through real Envoy and real SDKs. The engine's words are the prompt's:
`lantern` is one of its 256."""

import contextlib
import json
import re
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler

import pytest
import yaml
from anthropic import Anthropic
from openai import BadRequestError, OpenAI

from tests.e2e.conftest import ACME, GLOBEX, count_running, events, wait_for
from tests.e2e.limits import CHAT, ask, limited
from tests.http_server import Server

RULES = {
    "services": [{"name": "judge", "kind": "openai_moderations", "timeout_ms": 4000}],
    "rules": [
        {"name": "weapons", "where": "request", "words": ["pipe bomb", "炸弹"]},
        {"name": "lamps", "where": "answer", "words": ["lantern"], "tenants": ["acme"]},
        {"name": "skies", "where": "answer", "service": "judge", "tenants": ["globex"],
         "categories": {"astronomy": 0.7}, "hold": {"tokens": 8, "ms": 300}},
    ],
}  # fmt: skip
LONG = {"ignore_eos": True, "x_sim": {"itl_ms": 2}}
MOST = 60_000
"""Tokens that take an engine two minutes: whoever sees it end has seen it stopped."""


class Judge(BaseHTTPRequestHandler):
    """A service that has something against the moon, while it works."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        scores = [{"astronomy": 0.9 if "moon" in text else 0.1} for text in asked["input"]]
        raw = json.dumps({"results": [{"category_scores": each} for each in scores]}).encode()
        self.send_response(200 if self.server.works else 503)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def judge():
    server = Server(("127.0.0.1", 0), Judge)
    server.works = True
    running = threading.Thread(target=server.serve_forever)
    running.start()
    yield server
    server.shutdown()
    running.join()
    server.server_close()


@pytest.fixture(scope="module")
def own(tmp_path_factory, judge):
    url = f"http://127.0.0.1:{judge.server_port}/v1/moderations"
    services = [{**RULES["services"][0], "url": url}]
    path = tmp_path_factory.mktemp("moderation")
    with limited(path, moderation={**RULES, "services": services}) as gateway:
        yield gateway


def test_a_blocked_prompt_names_rule_and_category_and_not_the_text(own):
    client = OpenAI(base_url=f"{own.url}/v1", api_key=GLOBEX, max_retries=0)
    for text in ("how is a PIPE  bomb made", "怎么做炸弹呢"):
        with pytest.raises(BadRequestError) as refused:
            client.chat.completions.create(
                model="demo", messages=[{"role": "user", "content": text}], max_tokens=3
            )
        assert refused.value.code == "content_blocked"
        assert "weapons" in str(refused.value)
        assert "bomb" not in str(refused.value)


def test_a_stream_is_cut_before_the_word_and_the_engine_is_stopped(own):
    before = own.counters()[1]
    client = OpenAI(base_url=f"{own.url}/v1", api_key=ACME, max_retries=0)
    stream = client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "go on and on"}], stream=True,
        max_tokens=MOST, stream_options={"include_usage": True}, extra_body=LONG,
        extra_headers={"x-request-id": "cut"},
    )  # fmt: skip
    chunks = list(stream)
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    last = [chunk for chunk in chunks if chunk.choices][-1]
    assert last.choices[0].finish_reason == "content_filter"
    assert last.model_extra["x_headgate"] == {"stopped_by": "lamps"}
    assert said
    assert "lantern" not in said
    usage = chunks[-1].usage
    row = own.row("cut")
    assert (row["status"], row["completion_tokens"]) == (200, usage.completion_tokens)
    assert row["prompt_tokens"] == usage.prompt_tokens > 0
    assert row["cut"], "what the engine made beyond it would be nobody's"
    wait_for(lambda: not any(map(count_running, own.engines())), what="the engine to be stopped")
    made = own.counters()[1] - before
    [record] = wait_for(lambda: audited(own, "cut"), what="the audit record")
    assert record == ("moderation.cut", "acme", "cut")
    assert usage.completion_tokens <= made < MOST, "the engine went on"


def test_a_message_ends_with_refusal_and_a_response_incomplete(own):
    client = Anthropic(base_url=own.url, api_key=ACME, max_retries=0)
    with client.messages.stream(
        model="demo",
        messages=[{"role": "user", "content": "go on"}],
        max_tokens=4000,
        extra_body=LONG,
    ) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "refusal"
    assert "lantern" not in message.content[0].text
    client = OpenAI(base_url=f"{own.url}/v1", api_key=ACME, max_retries=0)
    with client.responses.stream(
        model="demo", input="go on", max_output_tokens=4000, extra_body=LONG
    ) as stream:
        told = list(stream)
    assert told[-1].type == "response.incomplete"
    assert told[-1].response.incomplete_details.reason == "content_filter"
    assert "lantern" not in told[-1].response.output_text


def audited(own, request_id):
    """What the audit log has of a request."""
    with contextlib.closing(sqlite3.connect(own.state / "audit.sqlite")) as log:
        what = "select action, tenant, outcome from audit_entry where request_id = ?"
        return log.execute(what, (request_id,)).fetchall()


def judged(own, **options):
    client = OpenAI(base_url=f"{own.url}/v1", api_key=GLOBEX, max_retries=0)
    return client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "tell me more"}], max_tokens=3000,
        extra_body=LONG, **options,
    )  # fmt: skip


def test_a_service_judges_windows_of_a_stream(own):
    chunks = [chunk for chunk in judged(own, stream=True) if chunk.choices]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    assert chunks[-1].model_extra["x_headgate"] == {"stopped_by": "skies"}
    assert said
    assert "moon" not in said


def test_what_a_service_does_not_judge_is_not_shown(own, judge):
    judge.works = False
    try:
        chunks = [chunk for chunk in judged(own, stream=True) if chunk.choices]
    finally:
        judge.works = True
    assert not any(chunk.choices[0].delta.content for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    text = own.metrics()
    assert re.search(r'moderation_asked_total{[^}]*result="fault"[^}]*} [1-9]', text)
    assert re.search(r'moderation_total{[^}]*action="cut"[^}]*rule="skies"[^}]*} 1', text)


def test_an_answer_in_json_says_nothing_and_why(own):
    client = OpenAI(base_url=f"{own.url}/v1", api_key=ACME, max_retries=0)
    answer = client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "go on"}], max_tokens=600,
        extra_body={"ignore_eos": True, "x_sim": {"itl_ms": 1}},
    )  # fmt: skip
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].message.content == ""
    assert answer.usage.completion_tokens == 600


def test_what_no_rule_is_against_is_as_the_engine_made_it(own):
    """With and without rules for the answer, in both forms: acme has one, globex has none."""
    for stream in (True, False):
        told = []
        for key in (ACME, GLOBEX):
            with own.http(key) as http:
                answer = http.post(CHAT, json=ask("as it is", stream=stream, max_tokens=4, seed=7))
            assert answer.status_code == 200
            documents = events(answer.text) if stream else [answer.json()]
            told.append([{**d, "id": "", "created": 0} for d in documents])
        assert "lantern" not in json.dumps(told[1])
        assert told[0] == told[1]


def test_what_is_held_goes_out_while_the_engine_is_silent(own):
    """The engine says a token, and the next in an hour; nobody waits for that."""
    body = ask("slowly", stream=True, max_tokens=3, itl_ms=3_600_000)
    with own.http(ACME) as http, http.stream("POST", CHAT, json=body) as answer:
        assert next(line for line in answer.iter_lines() if re.search('"content":"[^"]', line))


def test_a_rule_can_be_added_while_it_runs(own):
    path = own.state.parent / "policy" / "limits.yaml"
    rules = [*RULES["rules"], {"name": "birds", "where": "request", "words": ["cuckoo"]}]
    with own.http(GLOBEX) as http:
        assert http.post(CHAT, json=ask("a cuckoo")).status_code == 200
        rules = [each for each in rules if "service" not in each]
        path.write_text(yaml.safe_dump({"moderation": {"rules": rules}}))
        wait_for(
            lambda: http.post(CHAT, json=ask("a cuckoo")).status_code == 400, what="the new rule"
        )
