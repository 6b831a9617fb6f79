"""How every command ends: interrupted, or with nobody there to read."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from extproc.cli.commands import COMMANDS
from extproc.cli.plan import DEMO_POLICY
from tests.ledger.test_verify import fill

COMMAND = [sys.executable, "-m", "extproc.cli"]


def run_unread(*words):
    """Run a command whose reader has left before it begins."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [*COMMAND, *words], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["keys", "list", "--policy", str(DEMO_POLICY)]],
    ids=lambda words: words[0],
)
def test_a_reader_that_has_left_ends_it_quietly(words):
    done = run_unread(*words)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("form", [["--csv"], ["--json"], []], ids=" ".join)
def test_so_does_a_report(tmp_path, form):
    ledger = tmp_path / "ledger.sqlite"
    fill(ledger, tmp_path)
    done = run_unread("usage", "--ledger", str(ledger), *form)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("words", [["--version"], ["usage", "--csv", "--ledger"]], ids=" ".join)
def test_a_full_disk_is_told_in_a_line(tmp_path, words):
    if words[-1] == "--ledger":
        fill(ledger := tmp_path / "ledger.sqlite", tmp_path)
        words = [*words, str(ledger)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"standard output: No space left on device\n")


def test_without_any_output_it_runs_as_well():
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *COMMAND, "--version"], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["up", "usage"])
def test_ctrl_c_while_it_is_imported_leaves_no_traceback(name):
    """The interrupt comes from amid the import of the command."""
    module = COMMANDS[name].partition(":")[0]
    code = f"""
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs us in the background has it ignored
class Interrupting:
    def find_spec(self, name, *_):
        if name == "extproc.cli.{module}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = ["{name}", "--help"]
from extproc.cli.main import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, b"", b"")
