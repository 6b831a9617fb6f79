"""The harness itself, as a person runs it: a few of its cases, shortly. `make faults` runs them all."""

import json
import re
import subprocess
import sys

import pytest

from tests.e2e.conftest import ROOT

GUARD_S = 600
"""Against hanging: a minute is enough where nothing else runs."""
pytestmark = [pytest.mark.long, pytest.mark.timeout(GUARD_S + 10)]


def harness(*arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT,
        capture_output=True, text=True, timeout=GUARD_S, check=False,
    )  # fmt: skip


def test_neither_kills_nor_a_full_disk_get_into_the_books(tmp_path):
    found = tmp_path / "found.json"
    cases = ["settle-kill", "disk-full"]
    done = harness("faults", "--only", *cases, "--seconds", "6", "--json", str(found))
    report = json.loads(found.read_text()) if found.exists() else {}
    assert done.returncode == 0, report or done.stderr
    not_run = [line.partition(":")[0] for line in report["not_run"]]
    assert not_run in ([], ["disk-full"]), "only where nobody may mount anything"
    assert [result["case"] for result in report["results"]] + not_run == cases
    for result in report["results"]:
        verdict = result["verdict"]
        assert verdict["requests"] > 200
        assert verdict["rows"] == verdict["requests"], "each of them once"
        assert verdict["errors"] == verdict["broken"] == verdict["unsettled"] == 0
        assert result["caught_up_s"] is not None, "the ledger is behind for good"


def test_it_counts_to_the_token():
    done = harness("faults.count", "--requests", "1000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("equal to the token\n")
    told = re.findall(r"(?:counted|says) +Tokens\(prompt=(\d+), generation=(\d+)\)", done.stdout)
    assert len(told) == 4
    assert all(int(tokens) > 1000 for pair in told for tokens in pair)


def test_unknown_cases_are_refused():
    done = harness("faults", "--only", "earthquake")
    assert done.returncode == 2
    assert "worker-kill" in done.stderr
