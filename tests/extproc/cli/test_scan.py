"""`headgate scan`, on files, tables and keys of its own, without a gateway."""

import contextlib
import gzip
import json
import os

import pytest
from typer.testing import CliRunner

from extproc.cli.commands import COMMANDS, build, find
from extproc.cli.scanning import FREE_BYTES, read_database
from extproc.safety.pii.engine import shipped
from extproc.safety.scan import Report, Scanner
from ledger.database import find_database
from tests.ledger.test_verify import fill
from tests.postgres import PostgresServer
from tests.valkey import Valkey

MAIL, PHONE = "mona@example.org", "13800138000"


def scan(*arguments, code):
    done = CliRunner().invoke(build(find(["scan"])), ["scan", *map(str, arguments)])
    assert done.exit_code == code, (done.output, done.exception)
    assert MAIL not in done.output
    assert PHONE not in done.output
    return done


def found(*arguments, code):
    told = json.loads(scan(*arguments, "--json", code=code).stdout)
    places = [f"{p['where']}:{p['line']}:{p['column']}: {p['type']}" for p in told["places"]]
    assert told["found"] == len(places) == sum(told["counts"].values())
    return told, places


def test_a_ledger_that_is_named_is_looked_at(tmp_path):
    assert f"no ledger at {tmp_path}/l" in scan("--ledger-url", tmp_path / "l", code=2).stderr


def test_it_is_a_command():
    assert COMMANDS["scan"] == "scan:scan"


def test_numbers_that_envoy_makes_up_are_no_cards(tmp_path):
    card = "4111111111111111"
    line = f'[warning][ext_proc] [Tags: "ConnectionId":"208","StreamId":"{card}"] Received\n'
    (tmp_path / "envoy.log").write_text(line)
    assert found(tmp_path, code=0)[1] == []
    (tmp_path / "envoy.log").write_text(f"{line}{card}")
    assert found(tmp_path, code=1)[1] == [f"{tmp_path}/envoy.log:2:1: bank_card"]


def test_names_of_requests_are_no_phones(tmp_path):
    """Found by chance in one of four thousand random UUIDs: digits between dashes."""
    log, phone = tmp_path / "access.jsonl", "13800138000"
    name = "0b7c1f9e-0755-4138-8000-a1b2c3d4e5f6"
    log.write_text(f'{{"request_id":"{name}"}}\n{{"request_id":"415-555-2671"}}\n')
    assert found(tmp_path, code=1)[1] == [f"{log}:2:16: phone"]
    log.write_text(f"{name} {phone}")
    assert found(tmp_path, code=1)[1] == [f"{log}:1:38: phone"]


def test_files_of_a_directory(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log.jsonl").write_text('{"x":1}\n{"to":"mona\\u0040example.org"}\n')
    (tmp_path / "b.txt.1").write_bytes(f"\ufeff{PHONE}".encode("utf-16"))
    with gzip.open(tmp_path / "c.gz", "wt") as packed:
        packed.write(f"one\n\xff two {MAIL}")
    (tmp_path / "d.bin").write_bytes(b"\0" + MAIL.encode())
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / f"{MAIL}.txt").write_text("")
    told, places = found(tmp_path, code=1)
    assert places == [
        f"{tmp_path}/b.txt.1:1:2: phone",
        f"{tmp_path}/c.gz:2:7: email",
        f"{tmp_path}/[EMAIL] (its name):1:1: email",
        f"{tmp_path}/a/log.jsonl:2:8: email",
    ]
    assert told["skipped"] == [f"{tmp_path}/d.bin"]
    assert told["unread"] == {}
    said = scan(tmp_path, "--types", "phone", code=1).stdout
    assert said.startswith(f"{tmp_path}/b.txt.1:1:2: phone\n")
    assert said.endswith("1 files are no text and were skipped\nfound: 1 phone\n")
    assert not found(tmp_path, "--without", "phone,email", code=0)[1]


def test_what_cannot_be_read_is_said(tmp_path):
    whole = gzip.compress(os.urandom(50_000).replace(b"\0", b"1"))
    (tmp_path / "cut.gz").write_bytes(whole[:-100])
    os.mkfifo(tmp_path / "pipe")
    told, _ = found(tmp_path, tmp_path / "nothing", "--types", "email", code=2)
    assert {name.rpartition("/")[2]: why for name, why in told["unread"].items()} == {
        "cut.gz": "is damaged: Compressed file ended before the end-of-stream marker was reached",
        "pipe": "is no file",
        "nothing": "No such file or directory",
    }
    with (tmp_path / "cut.gz").open("wb") as file, gzip.GzipFile(fileobj=file, mode="wb") as packed:
        packed.write(f"{MAIL}\n".encode())
    assert len(found(tmp_path, code=1)[1]) == 1  # found, although something was not read


def test_what_unpacks_without_end_is_given_up(tmp_path):
    with gzip.open(tmp_path / "bomb.gz", "wb") as packed:
        for _ in range(FREE_BYTES // 2**20 + 8):
            packed.write(b" " * 2**20)
    told, _ = found(tmp_path, code=2)
    (why,) = told["unread"].values()
    assert why.startswith("unpacks to more than")
    assert told["read"]["bytes"] <= FREE_BYTES + 2**21


def test_logs_and_ledger_of_a_state_directory(tmp_path):
    fill(tmp_path / "ledger.sqlite", tmp_path)
    told, _ = found("--ledger", "--state", tmp_path, code=1)
    assert set(told["counts"]) == {"ip_address"}  # of endpoints
    told, _ = found("--ledger", "--state", tmp_path, "--without", "ip_address", code=0)
    assert told["read"]["rows"] > 42
    assert found("--logs", "--state", tmp_path, code=2)[0]["unread"]
    for name in ("log/access.jsonl.20260101", "journal/worker-0.jsonl", "audit/journal/1.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"x\n {MAIL}\n")
    told, places = found("--logs", "--state", tmp_path, code=1)
    assert len(places) == 3
    assert f"{tmp_path}/log/access.jsonl.20260101:2:2: email" in places


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    with contextlib.ExitStack() as stack:
        where = tmp_path / "any.sqlite"
        if request.param == "postgres":
            server = stack.enter_context(contextlib.closing(PostgresServer()))
            where = server.new_schema()
        yield stack.enter_context(contextlib.closing(find_database(where, writes=True)))


def test_every_table_that_there_is(database):
    kind = "bytea" if database.engine.dialect.name == "postgresql" else "blob"
    with database.transaction() as connection:
        connection.exec_driver_sql(
            f"CREATE TABLE one (id text PRIMARY KEY, number bigint, note text, raw {kind})"
        )
        connection.exec_driver_sql("CREATE TABLE two (phone text)")
        connection.exec_driver_sql(
            f"INSERT INTO one VALUES ('k1', {PHONE}, 'x {MAIL}', NULL), ('{MAIL}', 1, '', 'r {MAIL}')"
        )
        connection.exec_driver_sql(f"INSERT INTO two VALUES ('{PHONE}')")
    scanner, report = Scanner(shipped()), Report()
    report.add(scanner.scan(read_database(database, report, scanner)))
    places = sorted((p.where, p.line, p.column, p.type) for p in report.places)
    assert places == [
        ("one[[EMAIL]].id", 1, 1, "email"),
        ("one[[EMAIL]].raw", 1, 3, "email"),
        ("one[k1].note", 1, 3, "email"),
        ("two[#1].phone", 1, 1, "phone"),
    ]
    assert report.read["rows"] == 3


def test_every_key_of_ours(tmp_path):
    with Valkey(tmp_path) as valkey:
        valkey.order("SET", "{headgate}:a:1", f"kept: {MAIL}")
        valkey.order("HSET", "{headgate}:h", "field", MAIL)
        valkey.order("RPUSH", "{headgate}:l", "none", MAIL)
        valkey.order("SADD", "{headgate}:s", MAIL)
        valkey.order("ZADD", "{headgate}:z", "1", MAIL)
        valkey.order("SET", f"{{headgate}}:n:{MAIL}", "1")
        valkey.order("SET", "somebody:else", MAIL)
        told, places = found("--cache", "--redis", valkey.url, code=1)
    assert told["read"]["keys"] == 6
    assert told["counts"] == {"email": 6}
    assert "{headgate}:a:1:1:7: email" in places
    assert "{headgate}:n:[EMAIL] (its name):1:14: email" in places
    told, _ = found("--cache", "--redis", valkey.url, code=2)
    assert told["unread"]["cache"]


def test_own_types_come_from_a_policy(tmp_path):
    (tmp_path / "policy").mkdir()
    pattern = {"name": "staff", "expression": "EMP-[0-9]{6}"}
    (tmp_path / "policy" / "p.yaml").write_text(json.dumps({"pii": {"patterns": [pattern]}}))
    (tmp_path / "a.txt").write_text("EMP-123456")
    given = (tmp_path / "a.txt", "--policy", tmp_path / "policy", "--types", "staff")
    assert found(*given, code=1)[1] == [f"{tmp_path}/a.txt:1:1: staff"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), "say where to look"), (("x", "--types", "emial"), "'emial'; there are address,")],
)
def test_mistakes(arguments, said):
    assert said in scan(*arguments, code=2).output
