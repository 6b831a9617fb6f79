"""The page that `headgate up` ends with."""

import io
from pathlib import Path

import pytest

from extproc.cli.layout import Layout
from extproc.cli.screen import Ready, Screen, page


def ready(*, elsewhere=False, silent=()):
    return Ready(
        command="headgate",
        base_url="http://127.0.0.1:8080/v1",
        metrics_url="http://127.0.0.1:9090/metrics",
        model="demo",
        demo=True,
        layout=Layout(Path("/s")),
        elsewhere=elsewhere,
        policy=(Path("/p"),),
        engines="127.0.0.1:8000",
        silent=silent,
    )


@pytest.mark.parametrize("elsewhere", [True, False])
def test_what_is_to_be_typed_next_finds_the_ledger(elsewhere):
    shown = page(ready(elsewhere=elsewhere))
    (line,) = [line for line in shown.splitlines() if "headgate usage" in line]
    assert line.split("--state ")[1] == ("/s --ledger YOUR_LEDGER" if elsewhere else "/s")


def test_what_does_not_answer_is_said_below_that_all_is_ready():
    output = io.StringIO()
    Screen(output).page(page(ready(silent=["--redis does not answer ([nobody] there)"])))
    lines = output.getvalue().splitlines()
    assert lines[1].startswith("Headgate is ready.")
    assert lines[2:4] == ["--redis does not answer ([nobody] there)", ""]
    Screen(output).page(page(ready()))
    assert output.getvalue().count("not answer") == 1
