"""`headgate explain`, as it is typed."""

import json

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from extproc.cli.explain import explain
from extproc.routing.record import DecisionRecord, LeftOut, Weighed
from extproc.stores.decisions import DIRECTORY, DecisionFiles
from ledger.row import Row
from ledger.sql import open_ledger
from ledger.store import Change

FIRST, SECOND = "10.0.0.1:8000", "10.0.0.2:8000"
RECORD = DecisionRecord(
    "k1", "r1", 1.0, "asked", "v123", "acme", "chat", "llama", "stable", "gpus", "predicted_ttft",
    "predicted", (SECOND, FIRST), predicted_s=0.12, prompt_tokens=900, cached_tokens=640,
    candidates=(
        Weighed(SECOND, 0.12, {"queue_s": 0.1, "prefill_s": 0.02}, 0.05, 3, 1, 0.5, 4, 1),
        Weighed(FIRST, 0.9, {"queue_s": 0.1, "prefill_s": 0.8}, None, warmth=0.25),
    ),
    candidates_count=2,
    left_out=(LeftOut("10.0.0.3:8000", "open", ("errors:llama",)),),
)  # fmt: skip


@pytest.fixture
def state(tmp_path):
    return tmp_path


def typed(state, *words):
    app = typer.Typer()
    app.command()(explain)
    return CliRunner().invoke(app, [*words, "--state", str(state)], env={"COLUMNS": "100"})


def keep(state, *records):
    files = DecisionFiles(state / DIRECTORY, "unix:worker-0.sock")
    for each in records:
        files.put(each)
    files.flush()


def book(state, key="k1", **members):
    ledger = open_ledger(state / "ledger.sqlite")
    ledger.commit(Change(rows=[Row(key, 1, tenant="acme", **members)]))
    ledger.close()


@pytest.mark.parametrize("wanted", ["k1", "r1"])
def test_why_and_what_then(state, wanted):
    keep(state, RECORD)
    book(
        state, endpoint=FIRST, status=200, attempts=2, ttft_us=210_000, prompt_tokens=905,
        cached_tokens=0, completion_tokens=7,
    )  # fmt: skip
    done = typed(state, wanted)
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    for piece in (
        "chat for tenant acme: model llama, track stable, pool gpus",
        "900 prompt tokens, 640 expected in its cache; predicted_ttft took 0 us",
        "chosen retry 1",
        "cost 0.12 0.9",
        "prefill_s 0.02 0.8",
        "look age s 0.05 never",
        "warm % 100 25",
        "not a candidate: 10.0.0.3:8000 (open: errors:llama)",
        f"it cost 0.78 less than {FIRST}, most of it for prefill_s (0.02 here, 0.8 there).",
        f"It went to {FIRST}: status 200; 2 attempts; first token after 210 ms (predicted 120 ms);",
        "905 prompt tokens, 0 of them cached; 7 completion tokens.",
    ):
        assert piece in said, piece


def test_for_programs(state):
    keep(state, RECORD)
    found = json.loads(typed(state, "k1", "--json").output)
    assert found["outcome"] is None
    assert msgspec.convert(found["decision"], DecisionRecord) == RECORD
    book(state, status=200)
    assert json.loads(typed(state, "k1", "--json").output)["outcome"]["status"] == 200


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (None, "The ledger has no row of it yet"),
        ({"unsettled": True, "status": None}, "Its end was never seen"),
        ({"status": 0, "endpoint": SECOND}, "the client left before an answer"),
        ({"status": 503, "endpoint": None}, "It went to no endpoint: status 503"),
    ],
)
def test_ends(state, row, said):
    keep(state, RECORD)
    if row is not None:
        book(state, **row)
    assert said in " ".join(typed(state, "k1").output.split())


def test_endpoints_of_ipv6_are_named_in_full(state):
    """`[fd00::1]` looks like markup to what lays out tables."""
    first, second, out = (f"[fd00::{n}]:8000" for n in (1, 2, 3))
    record = msgspec.structs.replace(
        RECORD,
        chosen=(second, first),
        candidates=(
            Weighed(second, 0.12, {"prefill_s": 0.02}),
            Weighed(first, 0.9, {"prefill_s": 0.8}),
        ),
        left_out=(LeftOut(out, "open", ()),),
    )
    keep(state, record)
    book(state, endpoint=second, status=200)
    said = " ".join(typed(state, "k1").output.split())
    assert f"{second} {first}" in said
    assert f"not a candidate: {out}" in said
    assert f"{second} was chosen among 2" in said
    assert f"It went to {second}: status 200" in said


def test_what_clients_say_steers_no_terminal(state):
    """0x9B begins a command to a terminal, and may stand in a header."""
    keep(state, msgspec.structs.replace(RECORD, request_id="[bold]r\x9b2J\x1b[31m"))
    said = typed(state, "k1").output
    assert "request [bold]r\ufffd2J\ufffd[31m" in said
    assert "\x9b" not in said


def test_a_policy_less_what_another_takes_away_is_named_in_full(state):
    version = "0123456789ab-ba9876543210"
    keep(state, msgspec.structs.replace(RECORD, policy=version))
    assert f"policy {version};" in " ".join(typed(state, "k1").output.split())


def test_many_candidates(state):
    many = tuple(Weighed(f"10.0.1.{n}:8000", float(n), {}) for n in range(20))
    keep(state, msgspec.structs.replace(RECORD, candidates=many, candidates_count=70))
    said = typed(state, "k1").output
    assert "10.0.1.7:8000" in said
    assert "10.0.1.8:8000" not in said
    assert "and 62 more that cost more" in said
    said = typed(state, "k1", "--top", "10").output
    assert "10.0.1.9:8000" in said
    assert "10.0.1.10:8000" not in said


def test_a_request_id_that_repeats(state):
    keep(state, RECORD, msgspec.structs.replace(RECORD, id="k2", at_s=2.0))
    said = typed(state, "r1").output
    assert said.startswith("2 requests came under this id; this is the last of them.")
    assert "k2" in said


def test_what_nobody_knows(state):
    done = typed(state, "k9")
    assert done.exit_code == 1
    assert "k9: no record, and no such decision in the ledger" in done.output


def test_what_was_not_written_down(state):
    book(state, endpoint=FIRST, status=200)
    done = typed(state, "k1")
    assert done.exit_code == 1
    assert "it was not asked for and not drawn" in done.output
    assert f"It went to {FIRST} and got 200." in done.output
