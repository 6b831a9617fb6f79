"""Requests that try to be read in two ways. None gets more than its credential stands for.

Each row is sent as it stands, and says what the client gets. Whatever that is, nothing may be
billed to another tenant or project than the credential's, for another model than it may use, or
reach an engine without being billed at all.
"""

import json
import socket
import uuid
from contextlib import closing, suppress

import h2.config
import h2.connection
import h2.events
import pytest
import yaml

from extproc.identity.keys import digest
from tests.e2e.conftest import running, wait_for

SALT = "a salt of these tests"
CHAT, MODELS = "/v1/chat/completions", "/v1/models"
MINE, THEIRS, HOME, OLD = "sk-mine", "sk-theirs", "sk-home", "sk-old"
AUTH = f"Authorization: Bearer {MINE}"
OTHER = f"Authorization: Bearer {THEIRS}"
ASK = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
WAIT_S = 30
"""A guard: Envoy closes a second after it has answered."""

POLICY = {
    "salt": SALT,
    "tenants": [
        {"name": "acme", "projects": ["support", "search"]},
        {"name": "globex", "projects": ["research"]},
    ],
    "keys": [
        {"id": "mine", "digest": digest(SALT, MINE), "tenant": "acme", "project": "support",
         "models": ["demo"]},
        {"id": "theirs", "digest": digest(SALT, THEIRS), "tenant": "globex"},
        {"id": "home", "digest": digest(SALT, HOME), "tenant": "acme", "project": "support",
         "models": ["demo"], "cidrs": ["10.0.0.0/8"]},
        {"id": "old", "digest": digest(SALT, OLD), "tenant": "acme",
         "expires": "2020-01-01T00:00:00Z"},
    ],
    "models": [{"name": "secret", "pool": "local", "served_as": "demo"}],
}  # fmt: skip

SERVED = {
    ("acme", "support", "mine", "demo"),
    ("acme", "support", "mine", None),
    (None, None, None, None),
}
"""Tenant, project, key and model of every ledger row there may be: nobody here has another right."""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    root = tmp_path_factory.mktemp("confusion")
    directory = root / "policy"
    directory.mkdir()
    (directory / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    with running(root / "s", "--policy", str(directory), "--workers", "1") as gateway:
        yield gateway


def send(gateway, raw):
    """Send bytes and read until Envoy closes: (status, code) of each answer."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=WAIT_S) as connection:
        connection.sendall(raw)
        answer = b""
        with suppress(TimeoutError, ConnectionError):
            while part := connection.recv(65536):
                answer += part
    return list(read_answers(answer))


def read_answers(answer):
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        status = int(lines[0].split()[1])
        if status == 100:
            answer = rest
            continue
        length = next((int(x[15:]) for x in lines if x.startswith("content-length:")), 0)
        body, answer = rest[:length], rest[length:]
        code = None
        if status != 200:
            with suppress(ValueError):
                code = json.loads(body)["error"]["code"]
        yield status, code


def text(*lines, method="POST", target=CHAT, body=None, version="HTTP/1.1", host="Host: gateway"):
    """One HTTP/1.1 request with exactly these lines."""
    content = (json.dumps(ASK) if body is None else body) if method == "POST" else ""
    length = [f"Content-Length: {len(content)}"] if content else []
    marked = [
        f"X-Request-Id: {uuid.uuid4()}",
        "Content-Type: application/json",
        "Connection: close",
    ]
    head = [f"{method} {target} {version}", *([host] if host else []), *marked, *length, *lines]
    return ("\r\n".join(head) + "\r\n\r\n" + content).encode("utf-8", "surrogateescape")


def chunked(*lines, after="", trailers=""):
    """The same in chunks, with whatever comes after the last."""
    body = json.dumps(ASK)
    close = [] if after else ["Connection: close"]
    head = [f"POST {CHAT} HTTP/1.1", "Host: gateway", "Content-Type: application/json", *close]
    head += lines
    chunks = f"{len(body):x}\r\n{body}\r\n0\r\n{trailers}\r\n"
    return ("\r\n".join(head) + "\r\n\r\n" + chunks + after).encode()


OK = (200, None)
BAD = (400, "invalid_http_request")
NO_KEY, WRONG_KEY = (401, "missing_api_key"), (401, "invalid_api_key")
TWO, WIDENED = (401, "two_credentials"), (403, "identity_mismatch")
NOT_HERE, METHOD = (404, "unknown_url"), (405, "method_not_allowed")
ELSEWHERE = (401, "ip_not_authorized")
FORBIDDEN, NO_MODEL = (403, "model_forbidden"), (404, "model_not_found")
SECOND = f"GET {MODELS} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"

HEADERS = {
    "as it should be": ([AUTH], OK),
    "in x-api-key": ([f"X-Api-Key: {MINE}"], OK),
    "spaces around": ([f"Authorization:   Bearer   {MINE}  "], OK),
    "a name in capitals": ([AUTH.replace("Authorization", "AUTHORIZATION")], OK),
    "two keys, mine first": ([AUTH, OTHER], WRONG_KEY),
    "two keys, theirs first": ([OTHER, AUTH], WRONG_KEY),
    "mine twice": ([AUTH, AUTH], WRONG_KEY),
    "two keys in two cases": ([AUTH, OTHER.replace("Authorization", "aUTHORIZATION")], WRONG_KEY),
    "two keys in one header": ([f"{AUTH}, Bearer {THEIRS}"], WRONG_KEY),
    "two keys, separated by a space": ([f"{AUTH} {THEIRS}"], WRONG_KEY),
    "mine and nothing": ([AUTH, "Authorization:"], OK),
    "a folded header": ([AUTH, f" Bearer {THEIRS}"], WRONG_KEY),
    "a space before the colon": ([AUTH, f"Authorization : Bearer {THEIRS}"], BAD),
    "a tab before the colon": ([AUTH, f"Authorization\t: Bearer {THEIRS}"], BAD),
    "a tab as separator": ([f"Authorization: Bearer\t{MINE}"], WRONG_KEY),
    "a carriage return inside": ([f"{AUTH}\rX-Tenant-ID: globex"], WRONG_KEY),
    "a NUL inside": ([f"{AUTH}\0{THEIRS}"], BAD),
    "a key in Basic": (["Authorization: Basic c2stdGhlaXJzOg=="], WRONG_KEY),
    "another scheme": ([f"Authorization: Token {MINE}"], WRONG_KEY),
    "a quoted key": ([f'Authorization: Bearer "{MINE}"'], WRONG_KEY),
    "a key in capitals": ([f"Authorization: Bearer {MINE.upper()}"], WRONG_KEY),
    "an encoded key": (["Authorization: Bearer sk%2Dmine"], WRONG_KEY),
    "a key with a look-alike": (["Authorization: Bearer sk-m\u0456ne"], WRONG_KEY),
    "a key that has expired": ([f"Authorization: Bearer {OLD}"], (401, "expired_api_key")),
    "two headers for two keys": ([AUTH, f"X-Api-Key: {THEIRS}"], TWO),
    "two headers for one key": ([AUTH, f"X-Api-Key: {MINE}"], TWO),
    "x-api-key twice": ([f"X-Api-Key: {MINE}", f"X-Api-Key: {THEIRS}"], WRONG_KEY),
    "an underscored x_api_key": ([AUTH, f"x_api_key: {THEIRS}"], OK),
    "an underscored x_api_key alone": ([f"x_api_key: {THEIRS}"], NO_KEY),
    "another header's key": ([AUTH, f"api-key: {THEIRS}"], OK),
    "another header's key alone": ([f"api-key: {THEIRS}"], NO_KEY),
    "a key for a proxy": ([AUTH, f"Proxy-Authorization: Bearer {THEIRS}"], OK),
    "a key in a cookie": ([AUTH, f"Cookie: authorization=Bearer {THEIRS}"], OK),
    "my tenant": ([AUTH, "X-Tenant-ID: acme"], OK),
    "my tenant after a tab": ([AUTH, "X-Tenant-ID:\tacme\t"], OK),
    "another tenant": ([AUTH, "X-Tenant-ID: globex"], WIDENED),
    "my tenant twice": ([AUTH, "X-Tenant-ID: acme", "X-Tenant-ID: acme"], WIDENED),
    "two tenants": ([AUTH, "X-Tenant-ID: acme", "X-Tenant-ID: globex"], WIDENED),
    "a list of tenants": ([AUTH, "X-Tenant-ID: acme,globex"], WIDENED),
    "a tenant in another case": ([AUTH, "X-Tenant-ID: Acme"], WIDENED),
    "a tenant in Cyrillic": ([AUTH, "X-Tenant-ID: \u0430cme"], WIDENED),
    "a tenant in full width": ([AUTH, "X-Tenant-ID: \uff41cme"], WIDENED),
    "a tenant with a soft hyphen": ([AUTH, "X-Tenant-ID: ac\u00adme"], WIDENED),
    "no tenant": ([AUTH, "X-Tenant-ID:"], WIDENED),
    "all tenants": ([AUTH, "X-Tenant-ID: *"], WIDENED),
    "an encoded tenant": ([AUTH, "X-Tenant-ID: %67lobex"], WIDENED),
    "an underscored tenant": ([AUTH, "X_Tenant_ID: globex"], OK),
    "tenants in two spellings": ([AUTH, "X-Tenant-ID: acme", "X_TENANT_ID: globex"], OK),
    "another project": ([AUTH, "X-Project-ID: search"], WIDENED),
    "another tenant's project": ([AUTH, "X-Project-ID: research"], WIDENED),
    "a project by way of its neighbour": ([AUTH, "X-Project-ID: support/../search"], WIDENED),
    "no project": ([AUTH, "X-Project-ID:"], WIDENED),
    "names that others use": (
        [AUTH, "OpenAI-Organization: globex", "OpenAI-Project: research", "X-Tenant: globex"],
        OK,
    ),
    "headers of ours": (
        [AUTH, "X-Headgate-Tenant: globex", "X-Headgate-Key-Id: theirs", "X-Headgate-Model: secret"],
        OK,
    ),
    "a key to be dropped on the way": ([AUTH, "Connection: authorization"], NO_KEY),
    "a tenant to be dropped on the way": (
        [AUTH, "X-Tenant-ID: globex", "Connection: x-tenant-id"],
        OK,
    ),
    "another method": ([AUTH, "X-HTTP-Method-Override: GET", "X-HTTP-Method: GET"], OK),
    "another method, the third way": ([AUTH, "X-Method-Override: DELETE"], OK),
    "another URL": ([AUTH, "X-Original-URL: /admin", "X-Rewrite-URL: /v1/models/secret"], OK),
    "another path of Envoy's": ([AUTH, "X-Envoy-Original-Path: /admin"], OK),
    "another host": ([AUTH, "X-Forwarded-Host: globex", "X-Host: globex", "Forwarded: host=x"], OK),
    "another scheme for the URL": ([AUTH, "X-Forwarded-Proto: https", "X-Forwarded-Port: 1"], OK),
    "my address is not at home": ([f"Authorization: Bearer {HOME}"], ELSEWHERE),
    "an address in X-Forwarded-For": (
        [f"Authorization: Bearer {HOME}", "X-Forwarded-For: 10.0.0.1"],
        ELSEWHERE,
    ),
    "addresses in X-Forwarded-For": (
        [f"Authorization: Bearer {HOME}", "X-Forwarded-For: 10.0.0.1, 10.0.0.2, 10.0.0.3"],
        ELSEWHERE,
    ),
    "an address in other headers": (
        [f"Authorization: Bearer {HOME}", "X-Real-IP: 10.0.0.1", "Forwarded: for=10.0.0.1",
         "True-Client-IP: 10.0.0.1", "X-Client-IP: 10.0.0.1", "CF-Connecting-IP: 10.0.0.1"],
        ELSEWHERE,
    ),
    "an address in Envoy's header": (
        [f"Authorization: Bearer {HOME}", "X-Envoy-External-Address: 10.0.0.1"],
        ELSEWHERE,
    ),
    "two hosts": ([AUTH, "Host: globex"], OK),
    "an upgrade to cleartext HTTP/2": (
        [AUTH, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
        OK,
    ),
    "more to come": ([AUTH, "Expect: 100-continue"], OK),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_headers(own, name):
    lines, expected = HEADERS[name]
    assert send(own, text(*lines)) == [expected]
    check_ledger(own)


TARGETS = {
    "encoded slash": ("POST", "/v1/chat%2Fcompletions", NOT_HERE),
    "encoded letter": ("POST", "/v1/%63hat/completions", OK),
    "encoded twice": ("POST", "/v1/%2563hat/completions", NOT_HERE),
    "double slashes": ("GET", "//v1//models", OK),
    "dots": ("POST", "/v1/./x/../chat/completions", OK),
    "encoded dots": ("POST", "/v1/x/%2e%2e/chat/completions", OK),
    "above the root": ("GET", "/../../v1/models", OK),
    "backslashes": ("POST", "/v1\\chat\\completions", OK),
    "parameters of a path": ("POST", f"{CHAT};tenant=globex", NOT_HERE),
    "parameters within a path": ("POST", "/v1;x/chat/completions", NOT_HERE),
    "capitals": ("POST", "/V1/Chat/Completions", NOT_HERE),
    "a slash at the end": ("POST", f"{CHAT}/", NOT_HERE),
    "a space at the end": ("POST", f"{CHAT}%20", NOT_HERE),
    "a NUL at the end": ("POST", f"{CHAT}%00", BAD),
    "an extension": ("POST", f"{CHAT}.json", NOT_HERE),
    "a fragment": ("POST", f"{CHAT}#x", BAD),
    "full width": ("POST", "/v1/chat/completion\uff53", BAD),
    "another operation": ("GET", CHAT, METHOD),
    "a method in lower case": ("post", CHAT, BAD),
    "PUT": ("PUT", CHAT, METHOD),
    "HEAD": ("HEAD", MODELS, (405, None)),
    "the whole URL": ("POST", f"http://globex{CHAT}", OK),
    "a user in the URL": ("POST", f"http://{THEIRS}@globex{CHAT}", OK),
    "CONNECT": ("CONNECT", "globex:443", NOT_HERE),
    "a model I may use": ("GET", f"{MODELS}/demo", OK),
    "a model I may not": ("GET", f"{MODELS}/secret", FORBIDDEN),
    "the same, encoded": ("GET", f"{MODELS}/%73ecret", FORBIDDEN),
    "the same, by its neighbour": ("GET", f"{MODELS}/demo/../secret", FORBIDDEN),
    "the same, by its neighbour, encoded": ("GET", f"{MODELS}/demo%2F..%2Fsecret", NO_MODEL),
    "a key in the query": ("POST", f"{CHAT}?api_key={THEIRS}", TWO),
    "a key in the query, encoded": ("POST", f"{CHAT}?a=1&api%5Fkey={THEIRS}", TWO),
    "a token in the query": ("POST", f"{CHAT}?access_token={THEIRS}", TWO),
    "Google's key": ("GET", f"{MODELS}?key={THEIRS}", TWO),
    "my own key in the query": ("GET", f"{MODELS}?KEY={MINE}", TWO),
    "a tenant in the query": ("POST", f"{CHAT}?x-tenant-id=globex&tenant=globex", OK),
    "a model in the query": ("POST", f"{CHAT}?model=secret", OK),
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets(own, name):
    method, target, expected = TARGETS[name]
    assert send(own, text(AUTH, method=method, target=target)) == [expected]
    check_ledger(own)


@pytest.mark.parametrize("query", [f"api_key={MINE}", f"access_token={MINE}", f"key={MINE}"])
def test_a_key_in_the_query_alone(own, query):
    assert send(own, text(target=f"{CHAT}?{query}")) == [NO_KEY]
    check_ledger(own)


def twice(one, two):
    return json.dumps(ASK)[:-1].replace('"demo"', f'"{one}"', 1) + f', "model": "{two}"}}'


BODIES = {
    "a model I may not use": (json.dumps({**ASK, "model": "secret"}), FORBIDDEN),
    "a model in another case": (json.dumps({**ASK, "model": "Demo"}), NO_MODEL),
    "a model with a look-alike": (json.dumps({**ASK, "model": "d\u0435mo"}), NO_MODEL),
    "two models, mine first": (twice("demo", "secret"), FORBIDDEN),
    "a tenant in the body": (json.dumps({**ASK, "tenant": "globex", "user": "root"}), OK),
    "a key in the body": (json.dumps({**ASK, "api_key": THEIRS}), OK),
    "a model in extra_body": (json.dumps({**ASK, "extra_body": {"model": "secret"}}), OK),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(own, name):
    body, expected = BODIES[name]
    assert send(own, text(AUTH, body=body)) == [expected]
    check_ledger(own)


def test_of_two_models_the_judged_one_is_asked(own):
    """The last one counts, for us and for the engine: it gets what we judged, encoded anew."""
    assert send(own, text(AUTH, body=twice("secret", "demo"))) == [OK]
    check_ledger(own)


LENGTH = f"Content-Length: {len(json.dumps(ASK))}"
CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED = {
    "a second request has no credential": (text(AUTH).replace(b"Connection: close\r\n", b"")
                                           + SECOND.encode(), [OK, NO_KEY]),
    "a length too short": (
        text(AUTH).replace(b"Connection: close\r\n", b"").replace(
            LENGTH.encode(), b"Content-Length: 2"), [(400, "invalid_request")]),
    "length and chunks": (chunked(AUTH, LENGTH, CHUNKED, after=SECOND), [BAD]),
    "chunks and length": (chunked(AUTH, CHUNKED, "Content-Length: 4", after=SECOND), [BAD]),
    "two lengths": (text(AUTH, "Content-Length: 4"), [BAD]),
    "a signed length": (text(AUTH).replace(b"Content-Length: ", b"Content-Length: +"), [BAD]),
    "an odd encoding": (chunked(AUTH, "Transfer-Encoding: xchunked"), [BAD]),
    "an encoding after a tab": (chunked(AUTH, "Transfer-Encoding:\tchunked", after=SECOND),
                                [OK, NO_KEY]),
    "an encoding with a space before the colon": (
        chunked(AUTH, "Transfer-Encoding : chunked", after=SECOND), [BAD]),
    "two encodings": (chunked(AUTH, CHUNKED, "Transfer-Encoding: identity"), [BAD]),
    "an encoding in a list": (chunked(AUTH, "Transfer-Encoding: identity, chunked"), [BAD]),
    "an underscored encoding": (chunked(AUTH, "Transfer_Encoding: chunked", "Content-Length: 0",
                                        after=SECOND), [(400, "invalid_request")]),
    "after the last chunk": (chunked(AUTH, CHUNKED, after=SECOND), [OK, NO_KEY]),
    "a key in the trailers": (chunked(CHUNKED, trailers=f"{OTHER}\r\n"), [NO_KEY]),
    "a tenant in the trailers": (
        chunked(AUTH, CHUNKED, trailers=f"X-Tenant-ID: globex\r\n{OTHER}\r\n"), [OK]),
    "lines that end with a line feed only": (
        text(AUTH).replace(b"\r\n", b"\n"), [OK]),
    "a header hidden behind a line feed": (text(f"{AUTH}\nX-Tenant-ID: globex"), [WIDENED]),
}  # fmt: skip


@pytest.mark.parametrize("name", SMUGGLED)
def test_smuggled(own, name):
    raw, expected = SMUGGLED[name]
    assert send(own, raw) == expected
    check_ledger(own)


BEARER, THEIR_BEARER = ("authorization", f"Bearer {MINE}"), ("authorization", f"Bearer {THEIRS}")
PSEUDO = {":method": "POST", ":scheme": "http", ":authority": "gateway", ":path": CHAT}
RESET = (None, None)


def frames(*extra, body=True, trailers=(), first=(), **changed):
    pseudo = {**PSEUDO, **{f":{name}": value for name, value in changed.items()}}
    named = [(name, value) for name, value in pseudo.items() if value is not None]
    kind = ("content-type", "application/json")
    return [*first, *named, kind, *extra], body, list(trailers)


HTTP2 = {
    "as it should be": (frames(BEARER), OK),
    "two keys": (frames(BEARER, THEIR_BEARER), WRONG_KEY),
    "two headers for two keys": (frames(BEARER, ("x-api-key", THEIRS)), TWO),
    "a name in capitals": (frames(BEARER, ("X-Tenant-ID", "globex")), RESET),
    "two tenants": (frames(BEARER, ("x-tenant-id", "acme"), ("x-tenant-id", "globex")), WIDENED),
    "an underscored tenant": (frames(BEARER, ("x_tenant_id", "globex")), OK),
    "two paths": (frames(BEARER, first=[(":path", MODELS)]), RESET),
    "two methods": (frames(BEARER, first=[(":method", "GET")]), RESET),
    "a pseudo header after the others": (frames(BEARER, (":path", MODELS)), RESET),
    "an unknown pseudo header": (frames(BEARER, first=[(":tenant", "globex")]), RESET),
    "no path": (frames(BEARER, path=None), RESET),
    "an empty path": (frames(BEARER, path=""), RESET),
    "a request line in the path": (frames(BEARER, path=f"{MODELS} HTTP/1.1\r\nx-tenant-id: globex"),
                                   RESET),
    "a space in the path": (frames(BEARER, path=f"{CHAT} x"), RESET),
    "another host": (frames(BEARER, ("host", "globex")), OK),
    "a header in a value": (frames((BEARER[0], f"{BEARER[1]}\r\nx-tenant-id: globex")), RESET),
    "a NUL in a value": (frames((BEARER[0], f"{BEARER[1]}\0")), RESET),
    "a colon in a name": (frames(BEARER, ("x-tenant-id:", "globex")), RESET),
    "an empty name": (frames(BEARER, ("", "globex")), RESET),
    "chunks": (frames(BEARER, ("transfer-encoding", "chunked")), RESET),
    "a connection": (frames(BEARER, ("connection", "x-tenant-id")), RESET),
    "a length too short": (frames(BEARER, ("content-length", "4")), RESET),
    "a method in lower case": (frames(BEARER, method="post"), METHOD),
    "CONNECT": (frames(BEARER, method="CONNECT", path=None, scheme=None), NOT_HERE),
    "a tenant in the trailers": (frames(BEARER, trailers=[("x-tenant-id", "globex"), THEIR_BEARER]), OK),
    "a key in the trailers": (frames(trailers=[BEARER]), NO_KEY),
}  # fmt: skip


def send_h2(gateway, headers, body, trailers):
    """Send one HTTP/2 request, right or wrong; return status and code, or None for a reset."""
    config = h2_config()
    session = h2.connection.H2Connection(config)
    with closing(socket.create_connection(("127.0.0.1", gateway.port), WAIT_S)) as connection:
        session.initiate_connection()
        content = json.dumps(ASK).encode() if body else b""
        session.send_headers(1, headers)
        session.send_data(1, content, end_stream=not trailers)
        if trailers:
            session.send_headers(1, trailers, end_stream=True)
        connection.sendall(session.data_to_send())
        status, answer = None, b""
        while received := connection.recv(65536):
            for event in session.receive_data(received):
                match event:
                    case h2.events.ResponseReceived():
                        status = int(dict(event.headers)[":status"])
                    case h2.events.DataReceived():
                        answer += event.data
                    case h2.events.StreamEnded():
                        code = None if status == 200 else json.loads(answer)["error"]["code"]
                        return status, code
                    case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                        return RESET
            connection.sendall(session.data_to_send())
    return RESET


def h2_config():
    return h2.config.H2Configuration(
        client_side=True,
        header_encoding="utf-8",
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
    )


@pytest.mark.parametrize("name", HTTP2)
def test_http2(own, name):
    request, expected = HTTP2[name]
    assert send_h2(own, *request) == expected
    check_ledger(own)


def check_ledger(gateway):
    """Nothing that stands there is more than my key's right."""
    found = {(r["tenant"], r["project"], r["key_id"], r["model"]) for r in gateway.rows()}
    assert found <= SERVED


def test_every_token_that_engines_counted_is_billed(own):
    """Last: nothing reached an engine past us."""
    answered = send(own, text(AUTH))
    assert answered == [OK]

    def agree():
        rows = own.rows("status = 200 and operation = 'chat'")
        billed = [sum(r[f"{kind}_tokens"] or 0 for r in rows) for kind in ("prompt", "completion")]
        return billed == own.counters() and len(rows) > 10

    wait_for(agree, what="the ledger to agree with the engines")
    check_ledger(own)
