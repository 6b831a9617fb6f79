"""What one tenant has in an engine's prefix cache is nobody else's, through real Envoy."""

import pytest

from tests.e2e.conftest import ACME, GLOBEX

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
MEETINGS = 40
"""Prompts until two tenants meet at one of two engines: each time it is one or the other."""


def prompt(number):
    """A long one that nobody else has sent."""
    return f"Salted {number}: " + " ".join(f"word{number}x{n}" for n in range(150))


def ask(gateway, key, said, path=CHAT, **more):
    """Ask for a token; which endpoint answered, and how much of the prompt it had cached."""
    body = {"model": "demo", "max_tokens": 1, **more}
    match path:
        case "/v1/completions":
            body["prompt"] = said
        case "/v1/responses":
            body = {"model": "demo", "max_output_tokens": 1, "input": said, **more}
        case _:
            body["messages"] = [{"role": "user", "content": said}]
    with gateway.http(key) as http:
        answer = http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    row = gateway.row(answer.headers["x-request-id"])
    return row["endpoint"], row["cached_tokens"]


def warm(gateway, key, said, path=CHAT, **more):
    """Ask until it is cached; where it is."""
    for _ in range(6):
        endpoint, cached = ask(gateway, key, said, path, **more)
        if cached:
            return endpoint
    raise AssertionError("the prefix cache was never hit")


@pytest.mark.parametrize("path", [CHAT, TEXT, RESPONSES, MESSAGES])
def test_a_tenant_does_not_find_what_another_has_cached(gateway, path):
    met = 0
    for number in range(MEETINGS):
        said = prompt(f"{path[4:8]}{number}")
        endpoint = warm(gateway, ACME, said, path)
        elsewhere, cached = ask(gateway, GLOBEX, said, path)
        assert not cached, "this was its first"
        met += elsewhere == endpoint
        if met:
            break
    assert met, "they never met at one engine"
    assert warm(gateway, GLOBEX, said, path), "its own it does find"


def test_a_clients_own_salt_isolates_and_opens_nothing(gateway):
    said = prompt("own")
    warm(gateway, ACME, said)
    warm(gateway, ACME, said, cache_salt="mine")
    assert not ask(gateway, ACME, said, cache_salt="another")[1]
    assert not ask(gateway, GLOBEX, said, cache_salt="mine")[1]


def test_a_salt_that_is_none_is_refused(gateway):
    with gateway.http() as http:
        said = [{"role": "user", "content": "hi"}]
        answer = http.post(CHAT, json={"model": "demo", "messages": said, "cache_salt": 7})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "cache_salt"
