"""Engines that fail in every way, through real Envoy: what docs/chaos.md says is what happens."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from faults.chaos.scene import scene
from faults.chaos.table import BEGIN, CASES, END, line, run
from tests.e2e.conftest import ROOT, wait_for

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with scene(tmp_path_factory.mktemp("chaos")) as started:
        yield started


@pytest.mark.timeout(600)  # a minute, and each wait in it may take longer on a busy machine
def test_every_line_of_the_page(made):
    page = (ROOT / "docs" / "chaos.md").read_text()
    table = page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    assert [line(case, run(case, made)) for case in CASES] == table


def test_nothing_is_lost_or_billed_twice(made):
    """After all of it: one row for each request, and not a token that no engine has counted."""
    asked = next(made.numbers)

    def rows():
        with closing(sqlite3.connect(made.stand.layout.ledger)) as ledger:
            found = ledger.execute("select request_id, unsettled from request").fetchall()
        ours = [(name, unsettled) for name, unsettled in found if name.startswith("chaos-")]
        return len(ours) >= asked and ours

    found = wait_for(rows, what="all rows")
    assert len({name for name, _ in found}) == len(found) == asked
    assert not any(unsettled for _, unsettled in found)
    command = [sys.executable, "-m", "extproc.cli", "reconcile", "--json"]
    done = subprocess.run(
        [*command, "--state", str(made.stand.state)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    told = json.loads(done.stdout)["endpoints"]
    assert len(told) == 7
    assert not [e for e in told if e["prompt"]["drift"] or e["completion"]["drift"]], told
