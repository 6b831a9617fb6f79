"""The table of commands, and that each stands alone."""

import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from extproc.cli.commands import COMMANDS, build, find


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["usage", "--by", "tenant"], ["usage"]),
        (["up"], ["up"]),
        (["ledger", "trim", "--help"], ["ledger trim"]),
        (["policy", "replay"], ["policy replay"]),
        (["policy", "check", "x"], ["policy", "policy replay"]),
        (["keys", "new"], ["keys"]),
    ],
)
def test_only_what_is_called_is_imported(words, found):
    assert find(words) == found


@pytest.mark.parametrize("words", [[], ["--help"], ["nonsense"], ["ledge", "trim"]])
def test_all_of_it_for_who_asks_what_there_is(words):
    assert find(words) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_what_it_is_alone_and_among_all(name):
    words = name.split()
    alone, among = (
        CliRunner().invoke(build(names), [*words, "--help"], prog_name="headgate")
        for names in (find(words), COMMANDS)
    )
    assert alone.exit_code == 0, alone.output
    assert alone.output == among.output
    assert f"headgate {name}" in alone.output
    whole = CliRunner().invoke(build(COMMANDS), ["--help"])
    assert words[0] in whole.output


def test_it_says_which_it_is():
    done = CliRunner().invoke(build([]), ["--version"])
    assert (done.exit_code, done.output) == (0, f"headgate {version('headgate')}\n")


def test_reports_import_neither_a_policy_nor_parquet():
    """They need neither, and would take twice the CPU time."""
    code = (
        "import sys; from extproc.cli.commands import build;"
        "build(['usage', 'ledger', 'audit', 'reconcile', 'explain']);"
        "print({'pydantic', 'extproc.policy.load', 'pyarrow', 'numpy'} & sys.modules.keys())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
