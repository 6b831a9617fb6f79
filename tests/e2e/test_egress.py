"""What leaves for a service elsewhere, through a whole gateway: asked for, and as a stand-in."""

import json
import os
import subprocess
import sys

import pytest

from tests.e2e.conftest import ACME, GLOBEX, ROOT, refusing, wait_for
from tests.e2e.echoing import echoing
from tests.e2e.limits import CHAT, limited
from tests.e2e.planted import KNOWN, MAIL

KEY = {**os.environ, "PII_KEY": "0123456789abcdef0123456789"}


def sections(elsewhere, here, gone):
    egress = {"tenants": ["acme"], "fields": ["metadata"]}
    far = {"url": f"{elsewhere.url}/v1"}
    return {
        "pools": [
            {"name": "far", "upstream": far | {"egress": egress}},
            {"name": "shy", "upstream": far | {"egress": {"on_violation": "next"}}},
            {"name": "gone", "engine": "sim", "endpoints": [gone]},
            {"name": "here", "engine": "ollama", "endpoints": [here.url.removeprefix("http://")]},
        ],
        "models": [
            {"name": "gpt", "pool": "far"},
            {"name": "masked", "pool": "far"},
            {"name": "modest", "pool": "shy", "fallback": ["own"]},
            {"name": "own", "pool": "here"},
            {"name": "frail", "pool": "here", "fallback": ["gpt"]},
            {"name": "lost", "pool": "gone", "fallback": ["gpt"]},
        ],
        "pii": {
            "key": {"env": "PII_KEY"},
            "rules": [{"models": ["masked"], "types": {"all": "mask"}}],
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    with (
        echoing() as elsewhere,
        echoing() as here,
        refusing() as gone,
        limited(
            tmp_path_factory.mktemp("egress"),
            flags=("--workers", "1"),
            env=KEY,
            **sections(elsewhere, here, gone),
        ) as gateway,
    ):
        yield gateway, elsewhere, here


def ask(both, model, text="hi", *, key=ACME, **more):
    """Ask, and say what was seen elsewhere."""
    both[1].seen.clear()
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    with both[0].http(key) as client:
        return client.post(CHAT, json=body), [json.loads(each) for each in both[1].seen]


def test_what_may_leave_does_and_says_not_who_asks(both):
    answer, (seen,) = ask(both, "gpt", user="ann", metadata={"job": "1"})
    assert answer.json()["choices"][0]["message"]["content"] == "hi"
    assert "user" not in seen
    assert seen["metadata"] == {"job": "1"}


@pytest.mark.parametrize(
    ("text", "more", "param"),
    [
        (f"to {MAIL}", {}, "messages[0].content"),
        ("hi", {"metadata": {"to": MAIL}}, "metadata.to"),
        ("hi", {"guided_json": {}}, "guided_json"),
        ("hi", {"key": GLOBEX}, None),
    ],
)
def test_what_may_not_leave_is_refused(both, text, more, param):
    answer, seen = ask(both, "gpt", text, **more)
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("egress_forbidden", param)
    assert MAIL not in answer.text
    assert not seen


def test_what_was_masked_leaves_and_comes_back(both):
    answer, (seen,) = ask(both, "masked", f"to {MAIL}")
    assert answer.json()["choices"][0]["message"]["content"] == f"to {MAIL}"
    assert "<EMAIL_" in seen["messages"][0]["content"]


def test_what_must_stay_goes_to_who_may_see_it(both):
    answer, seen = ask(both, "modest", KNOWN["mail"])
    assert answer.status_code == 200
    assert answer.headers["x-headgate-fallback"] == "from=modest; reason=egress"
    assert not seen
    assert ask(both, "modest")[1]


def test_no_engine_that_fails_sends_it_elsewhere(both):
    """Envoy goes on to the next model by itself, and nobody is asked again."""

    def is_gone():
        """As soon as somebody has looked: then it is settled before anything is sent who may serve."""
        answer, seen = ask(both, "lost")
        assert (answer.status_code, len(seen)) == (200, 1)
        return answer.headers["x-headgate-fallback"] == "from=lost; reason=unavailable"

    wait_for(is_gone, what="a look at those that are gone")
    answer, seen = ask(both, "lost", MAIL)
    assert answer.status_code == 403
    assert not seen
    gateway, _, here = both
    here.fails = True
    try:
        answer, seen = ask(both, "frail")
        assert answer.headers["x-headgate-fallback"] == "from=frail; reason=failed"
        assert len(seen) == 1
        answer, seen = ask(both, "frail", KNOWN["mail"])
        assert answer.status_code == 503
        assert not seen
        assert gateway.row(answer.headers["x-request-id"])["pool"] == "here"
    finally:
        here.fails = False


def test_refusals_are_written_down_and_no_value_was_kept(both):
    gateway = both[0]
    answer, _ = ask(both, "gpt", f"again {MAIL}")
    request_id = answer.headers["x-request-id"]

    def told():
        found = cli(gateway, "audit", "search", "--action", "egress.denied", "--json")
        return [each for each in json.loads(found) if each["request_id"] == request_id]

    (record,) = wait_for(told, what="the audit record")
    assert record["members"] == {"pool": "far", "field": "messages[0].content", "region": ""}
    found = json.loads(
        cli(gateway, "scan", "--ledger", "--logs", "--cache", "--types", "email", "--json")
    )
    assert (found["found"], found["unread"]) == (0, {})
    assert found["read"]["rows"]
    assert found["read"]["files"]


def cli(gateway, *arguments):
    command = [sys.executable, "-m", "extproc.cli", *arguments, "--state", str(gateway.state)]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
