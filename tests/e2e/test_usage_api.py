"""The usage API as its users meet it: through Envoy, with their keys, while the gateway is at work."""

import os
import signal
import socket
import stat
import threading

import httpx
import pytest
import yaml

from extproc.identity.keys import digest
from tests.e2e.conftest import running, wait_for

SALT = "salt-of-the-usage-api"
TOKEN = "a-token-of-the-reporting-service"
CHAT, USAGE, REQUESTS = "/v1/chat/completions", "/headgate/v1/usage", "/headgate/v1/usage/requests"
ASK = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
KEYS = {
    "acme": {"tenant": "acme"},
    "support": {"tenant": "acme", "project": "support"},
    "globex": {"tenant": "globex"},
    "finance": {"tenant": "acme", "groups": ["finance"]},
}
POLICY = {
    "salt": SALT,
    "tenants": [{"name": "acme", "projects": ["support", "search"]}, {"name": "globex"}],
    "keys": [
        {"id": name, "digest": digest(SALT, f"sk-{name}"), **member}
        for name, member in KEYS.items()
    ],
    "services": [{"name": "reporting", "token": {"env": "REPORTING"}, "groups": ["finance"]}],
    "ledger": {"readers_of_all": ["finance"]},
}
SENT = (("acme", "support"), ("acme", "search"), ("acme", ""), ("globex", ""), ("globex", ""))


def send(own, key, project=""):
    headers = {"x-project-id": project} if project else {}
    with own.http(f"sk-{key}") as http:
        answer = http.post(CHAT, json=ASK, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-request-id"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("usage")
    (folder / "policy").mkdir()
    (folder / "policy" / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    flags = ("--policy", str(folder / "policy"), "--workers", "1")
    with running(folder / "s", *flags, env={"REPORTING": TOKEN}) as gateway:
        for key, project in SENT:
            send(gateway, key, project)
        wait_for(lambda: len(gateway.rows("operation = 'chat'")) == len(SENT), what="all rows")
        yield gateway


def ask(own, key, path=REQUESTS, headers=(), **parameters):
    credential = TOKEN if key == "reporting" else f"sk-{key}"
    with own.http(credential) as http:
        every = [*http.headers.items(), *headers]
        return http.get(path, params={"operation": "chat"} | parameters, headers=every)


def owners(own, key, headers=(), **parameters):
    """Tenants and projects that somebody sees: the same among single requests and in sums."""
    found = []
    for path, more in ((REQUESTS, {"limit": 1000}), (USAGE, {"by": "tenant,project"})):
        answer = ask(own, key, path, headers, **more, **parameters)
        assert answer.status_code == 200, answer.text
        found.append({(row["tenant"], row["project"]) for row in answer.json()["rows"]})
    assert found[0] == found[1]
    return found[0]


ALL_OF_ACME = {("acme", "support"), ("acme", "search"), ("acme", None)}
ALL_OF_GLOBEX = {("globex", None)}


@pytest.mark.parametrize(
    ("key", "headers", "seen"),
    [
        ("acme", {}, ALL_OF_ACME),
        ("acme", {"x-tenant-id": "acme"}, ALL_OF_ACME),
        ("acme", {"x-project-id": "search"}, {("acme", "search")}),
        ("support", {}, {("acme", "support")}),
        ("support", {"x-project-id": "support"}, {("acme", "support")}),
        ("globex", {}, ALL_OF_GLOBEX),
        ("finance", {}, ALL_OF_ACME | ALL_OF_GLOBEX),
        ("finance", {"x-tenant-id": "acme"}, ALL_OF_ACME),
        ("finance", {"x-project-id": "search"}, {("acme", "search")}),
        ("reporting", {"x-tenant-id": "globex"}, ALL_OF_GLOBEX),
        ("reporting", {"x-tenant-id": "acme", "x-project-id": "search"}, {("acme", "search")}),
    ],
)
def test_who_sees_what(own, key, headers, seen):
    assert owners(own, key, headers.items()) == seen


@pytest.mark.parametrize(
    ("key", "headers", "status", "code"),
    [
        ("nobody", {}, 401, "invalid_api_key"),
        ("globex", {"x-tenant-id": "acme"}, 403, "identity_mismatch"),
        ("support", {"x-project-id": "search"}, 403, "identity_mismatch"),
        ("finance", {"x-tenant-id": "globex"}, 403, "identity_mismatch"),
        ("reporting", {}, 400, "invalid_request"),
    ],
)
def test_who_is_refused(own, key, headers, status, code):
    answer = ask(own, key, headers=headers.items())
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_nobody_without_a_key(own):
    with own.http(None) as http:
        for path in (USAGE, REQUESTS, "/headgate/v1/openapi.json"):
            assert http.get(path).status_code == 401
        assert http.get(REQUESTS, params={"key": "sk-acme"}).status_code == 401


FORGED = [
    [("x-headgate-scope", "all")],
    [("x-headgate-tenant", "acme")],
    [("X-Headgate-Scope", "all"), ("X-Headgate-Tenant", "acme")],
    [("x_headgate_scope", "all"), ("x_headgate_tenant", "acme")],
    [("x-headgate-scope", "all"), ("x-headgate-scope", "all")],
    [("x-headgate-groups", "finance"), ("x-headgate-user", "root")],
    [("x-headgate-pool", "sidecar/ledger"), ("x-headgate-scope", "all")],
    [("connection", "x-headgate-scope, x-headgate-tenant"), ("x-headgate-tenant", "acme")],
    [("connection", "close, x-headgate-project"), ("x-headgate-project", "")],
    [("x-envoy-original-path", "/headgate/v1/usage"), ("x-forwarded-for", "127.0.0.1")],
    [("x-groups", "finance"), ("x-tenant", "acme"), ("x-scope", "all")],
]


@pytest.mark.parametrize("headers", FORGED, ids=lambda headers: headers[0][0])
def test_headers_that_a_client_makes_up(own, headers):
    assert owners(own, "globex", headers) == ALL_OF_GLOBEX
    assert owners(own, "support", headers) == {("acme", "support")}


def test_headers_in_trailers(own):
    head = (
        f"GET {REQUESTS}?operation=chat HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        "Authorization: Bearer sk-globex\r\nTransfer-Encoding: chunked\r\n"
        "Trailer: x-headgate-scope\r\n\r\n2\r\n{}\r\n0\r\nx-headgate-scope: all\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", own.port)) as connection:
        connection.sendall(head.encode())
        said = b""
        while piece := connection.recv(65536):
            said += piece
    assert said.startswith(b"HTTP/1.1 200")
    assert b"globex" in said
    assert b"acme" not in said


@pytest.mark.parametrize(
    "parameters",
    [
        {"tenant": "acme"},
        {"tenant": ["acme", "globex"]},
        {"tenant": "acme", "project": "support"},
        {"tenant": "' OR '1'='1"},
        {"project": "%"},
        {"user": "x') OR (tenant = 'acme"},
        {"group": "finance"},
        {"model": 'demo" OR 1=1 --'},
        {"where": "tenant=acme"},
        {"where": "tenant!=globex"},
        {"where": ["project!=", "tenant!=globex"]},
    ],
)
def test_filters_do_not_reach_beyond(own, parameters):
    assert owners(own, "globex", **parameters) <= ALL_OF_GLOBEX


def test_a_cursor_is_nobody_elses(own):
    cursor = ask(own, "acme", limit=1).json()["next_cursor"]
    assert ask(own, "acme", limit=1, cursor=cursor).status_code == 200
    for key in ("globex", "support", "finance"):
        answer = ask(own, key, limit=1, cursor=cursor)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "cursor"


def test_pages_have_everything_once_while_requests_come_in(own):
    before = {row["settle_key"] for row in own.rows("tenant = 'acme' and operation = 'chat'")}
    stop = threading.Event()

    def go_on():
        while not stop.is_set():
            send(own, "acme", "support")

    sender = threading.Thread(target=go_on)
    sender.start()
    try:
        for _ in range(5):
            seen, cursor = [], None
            while True:
                more = {"cursor": cursor} if cursor else {}
                page = ask(own, "acme", limit=2, **more).json()
                seen += [row["id"] for row in page["rows"]]
                if not (cursor := page["next_cursor"]):
                    break
            assert len(seen) == len({*seen})
            assert before <= {*seen}
    finally:
        stop.set()
        sender.join()


def test_zones_and_forms(own):
    answer = ask(own, "globex", tz="Asia/Kolkata", since="2020-01-01").json()
    assert answer["since"] == "2020-01-01T00:00:00.000+05:30"
    assert all(row["time"].endswith("+05:30") for row in answer["rows"])
    with own.http("sk-globex") as http:
        asked = {"operation": "chat", "by": "day"}
        table = http.get(USAGE, params=asked, headers={"accept": "text/csv"})
        days = http.get(USAGE, params=asked).json()["rows"]  # two, when midnight came between
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    for row, line in zip(days, table.text.splitlines()[1:], strict=True):
        assert line.startswith(f"{row['day']},false,{row['requests']},")
    assert sum(row["requests"] for row in days) == 2
    tokens = [sum(row["prompt_tokens"] for row in rows) for rows in (days, answer["rows"])]
    assert tokens[0] == tokens[1]


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "param"),
    [
        ("GET", f"{REQUESTS}?since=yesterday", 400, "invalid_request", "since"),
        ("GET", f"{REQUESTS}?tz=Mars", 400, "invalid_request", "tz"),
        ("GET", f"{REQUESTS}?modle=demo", 400, "invalid_request", "modle"),
        ("GET", f"{REQUESTS}?endpoint=10.0.0.1:80", 400, "invalid_request", "endpoint"),
        ("GET", f"{USAGE}?by=nonsense", 400, "invalid_request", "by"),
        ("GET", f"{USAGE}?by=endpoint", 400, "invalid_request", "by"),
        ("GET", f"{USAGE}/nothing", 404, "unknown_url", None),
        ("GET", f"{USAGE}/..%2frequests", 404, "unknown_url", None),
        ("POST", REQUESTS, 405, "method_not_allowed", None),
        ("DELETE", USAGE, 405, "method_not_allowed", None),
    ],
)
def test_errors_look_like_the_gateways(own, method, path, status, code, param):
    with own.http("sk-acme") as http:
        answer = http.request(method, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert set(error) == {"message", "type", "param", "code"}


def test_head_and_what_is_known_already(own):
    with own.http("sk-globex") as http:
        period = {"since": "2020-01-01", "until": "2020-02-01"}
        got = http.get(REQUESTS, params=period)
        head = http.head(REQUESTS, params=period)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == got.headers["etag"]
        again = http.get(REQUESTS, params=period, headers={"if-none-match": got.headers["etag"]})
    assert again.status_code == 304
    assert got.headers["cache-control"].startswith("private")
    assert not [name for name in got.headers if name.startswith("x-headgate")]


def test_asking_is_free_and_written_down(own):
    request_id = ask(own, "globex").headers["x-request-id"]
    row = own.row(request_id)
    assert (row["operation"], row["tenant"], row["status"]) == ("usage", "globex", 200)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (0, 0)
    assert (row["uncached_pusd"], row["completion_pusd"]) == (0, 0)
    assert (row["model"], row["endpoint"], row["estimated"]) == (None, "sidecar/ledger", 0)


def test_nobody_else_reaches_the_sidecar(own):
    mode = (own.state / "run" / "sidecar-ledger.sock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE((own.state / "run").stat().st_mode) == 0o700


def test_a_killed_sidecar_comes_back_and_harms_nobody_else(own):
    (pid,) = [pid for pid, line in own.children().items() if "sidecars.ledger" in line]
    os.kill(pid, signal.SIGKILL)
    away = ask(own, "acme")
    assert away.status_code in (200, 503)
    if away.status_code == 503:
        assert away.json()["error"]["code"] == "service_unavailable"
        assert away.headers["retry-after"] == "1"
    send(own, "acme")
    wait_for(lambda: ask(own, "acme").status_code == 200, what="the sidecar")


def test_without_sidecars(tmp_path):
    with running(tmp_path / "s", "--no-sidecars", "--workers", "1") as gateway:
        assert not [line for line in gateway.children().values() if "-m sidecars" in line]
        with gateway.http() as http:
            answer = http.get(USAGE)
            assert http.get("/v1/models").status_code == 200
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")


def test_the_description_is_openapi(own):
    answer = ask(own, "globex", "/headgate/v1/openapi.json")
    assert isinstance(answer, httpx.Response)
    assert set(answer.json()["paths"]) == {USAGE, f"{USAGE}/dimensions", REQUESTS}
