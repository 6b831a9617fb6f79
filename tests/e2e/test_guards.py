"""Guards as clients meet them: two workers, real Envoy, a real Redis-compatible server.

Clients are told apart by their address: all of 127.0.0.0/8 is this machine.
"""

import json
import os
import signal

import httpx
import pytest
from typer.testing import CliRunner

from extproc.cli.guards import app
from tests.e2e.conftest import ACME, GLOBEX, wait_for
from tests.e2e.limits import CHAT, ask, limited

GUARDS = {
    "refusals": {"most": 20, "every": "1m", "ban_s": 3, "factor": 10, "longest_s": 60,
                 "exempt": ["127.0.0.9/32"]},
    "long_prompts": {"tokens": 50, "share": 0.3, "least_requests": 5, "every": "1m", "for_s": 60},
}  # fmt: skip
CALLS = {"name": "calls", "per": "key", "requests": 1, "every": "day", "keys": ["globex-1"]}
ROW = [(3, 1), (30, 2), (60, 3), (60, 4)]
"""Bans of one address, as they grow: seconds, and which in a row."""
BOTH = 30
"""Requests in a row: all but always, both workers get some. One gets three of four, for Envoy's logs go to
the other, and Envoy counts them as a request under way. No more than the length of a wait hangs on it."""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with limited(tmp_path_factory.mktemp("guards"), CALLS, guards=GUARDS) as gateway:
        yield gateway


def from_address(own, ip, key):
    transport = httpx.HTTPTransport(local_address=ip)
    headers = {"authorization": f"Bearer {key}"}
    return httpx.Client(base_url=own.url, headers=headers, timeout=30, transport=transport)


def hammer(http, code, method="GET", path="/v1/models", body=None):
    """Ask until all answers are refusals by a ban, at both workers; before, all are `code`."""

    def go():
        answers = [http.request(method, path, json=body) for _ in range(BOTH)]
        codes = {answer.json()["error"]["code"] for answer in answers}
        assert codes <= {code, "client_banned"}
        return answers[-1] if codes == {"client_banned"} else None

    return wait_for(go, what="the ban")


def guards(own, *words):
    """`headgate guards`, without a process of its own."""
    return CliRunner().invoke(app, [*words, "--state", str(own.state)])


def bans(own):
    return {ban["subject"]: ban for ban in json.loads(guards(own, "list", "--json").stdout)}


def told(own):
    """Bans, as the workers have logged them."""
    logs = sorted(own.layout.log.glob("worker-*.log"))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    banned = [line for line in lines if line["event"] == "banned"]
    return sorted(banned, key=lambda line: line["time"])


def while_banned(ban, ask):
    """The last of the refusals that `ban` brings about, and what the first answer to `ask` is after it:
    refused, too. A machine that stands still may outlast a ban; the next one is longer."""

    def go():
        banned, met = ban(), ask()
        return met.status_code == 429 and (banned, met)

    return wait_for(go, 120, "a ban that others meet")


def passes(http):
    return lambda: http.get("/v1/models").status_code == 200


def test_who_guesses_keys_is_banned_by_address_and_comes_back(own):
    with (
        from_address(own, "127.0.0.2", "sk-guess") as guesser,
        from_address(own, "127.0.0.2", ACME) as neighbour,
        from_address(own, "127.0.0.3", "sk-guess") as elsewhere,
        from_address(own, "127.0.0.9", "sk-guess") as exempt,
    ):
        guesser.headers["x-forwarded-for"] = "127.0.0.3"  # which nobody believes
        banned, met = while_banned(
            lambda: hammer(guesser, "invalid_api_key"), lambda: neighbour.get("/v1/models")
        )
        assert (banned.status_code, banned.headers["x-should-retry"]) == (429, "false")
        assert 1 <= int(banned.headers["retry-after"]) <= told(own)[-1]["for_s"]
        assert "This address (127.0.0.2) is banned until" in banned.json()["error"]["message"]
        assert met.json()["error"]["code"] == "client_banned"
        for other in (elsewhere, exempt):
            codes = {other.get("/v1/models").json()["error"]["code"] for _ in range(15)}
            assert codes == {"invalid_api_key"}
        row = own.row(banned.headers["x-request-id"])
        assert (row["deny_reason"], row["status"]) == ("client_banned", 429)
        wait_for(passes(neighbour), 90, "the end of the ban")
        before = len(told(own))
        hammer(guesser, "invalid_api_key")
        wait_for(lambda: len(told(own)) > before, what="the next ban in the logs")
        made = [(ban["for_s"], ban["times"]) for ban in told(own)]
        assert made == ROW[: len(made)]
        for _ in range(2):
            assert {exempt.get("/v1/models").status_code for _ in range(15)} == {401}
    assert bans(own).keys() == {"address:127.0.0.2"}
    address = 'barred="requests",kind="address"'
    for line in (
        f'headgate_bans_total{{{address},result="enforced"}} {len(made)}.0',
        'headgate_alerts_total{kind="abuse"}',
        f"headgate_bans_in_force{{{address}}} 1.0",
    ):
        wait_for(lambda line=line: line in own.metrics(), what=line)


def test_who_asks_on_above_a_limit_is_banned_as_a_key_until_somebody_lifts_it(own):
    with (
        from_address(own, "127.0.0.4", GLOBEX) as one,
        from_address(own, "127.0.0.5", GLOBEX) as other,
    ):
        assert one.post(CHAT, json=ask()).status_code == 200
        _, met = while_banned(
            lambda: hammer(one, "rate_limit_exceeded", "POST", CHAT, ask()),
            lambda: other.get("/v1/models"),
        )
        assert met.json()["error"]["message"].startswith("This key is banned")
        with from_address(own, "127.0.0.4", ACME) as neighbour:
            assert neighbour.get("/v1/models").status_code == 200
        assert guards(own, "ban", "key:globex-1", "--for", "1h").stdout.endswith("for 1h0m0s\n")
        ban = bans(own)["key:globex-1"]
        assert (ban["why"], ban["barred"]) == ("by hand", "requests")
        assert 3000 < ban["left_s"] <= 3600
        assert guards(own, "lift", "key:globex-1").exit_code == 0
        wait_for(
            lambda: all(passes(other)() for _ in range(BOTH)), what="both workers to hear of it"
        )
        assert guards(own, "lift", "key:globex-1").exit_code == 1


def test_a_worker_that_starts_anew_knows_of_bans(own):
    guards(own, "ban", "127.0.0.6", "--for", "5m")
    with from_address(own, "127.0.0.6", ACME) as http:
        wait_for(lambda: not any(passes(http)() for _ in range(BOTH)), what="the ban")
        before = own.worker_pids()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_for(
            lambda: len(own.worker_pids()) == 2 and own.worker_pids() != before, what="workers"
        )

        def banned():
            answer = http.get("/v1/models")
            assert answer.status_code in {429, 503}
            return answer.status_code == 429

        wait_for(banned, what="a worker that answers")
    guards(own, "lift", "127.0.0.6")


def test_who_sends_too_many_long_prompts_may_send_short_ones(own):
    long = ask("word " * 200)
    with from_address(own, "127.0.0.7", ACME) as http:

        def refused():
            answers = [http.post(CHAT, json=long) for _ in range(6)]
            assert {answer.status_code for answer in answers} <= {200, 429}
            return answers[-1] if answers[-1].status_code == 429 else None

        answer = wait_for(refused, what="the filter")
        error = answer.json()["error"]
        assert error["code"] == "prompt_too_long"
        assert "those above 50 tokens are refused until" in error["message"]
        assert http.post(CHAT, json=ask()).status_code == 200
        assert bans(own)["key:acme-support"]["barred"] == "long_prompts"
        assert guards(own, "lift", "key:acme-support").stdout == "key:acme-support is free again\n"
        wait_for(lambda: http.post(CHAT, json=long).status_code == 200, what="it to be off")
