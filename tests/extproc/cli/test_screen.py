"""The page that `headgate up` ends with."""

from pathlib import Path

import pytest

from extproc.cli.layout import Layout
from extproc.cli.screen import Ready, page


@pytest.mark.parametrize("elsewhere", [True, False])
def test_what_is_to_be_typed_next_finds_the_ledger(elsewhere):
    ready = Ready(
        command="headgate",
        base_url="http://127.0.0.1:8080/v1",
        metrics_url="http://127.0.0.1:9090/metrics",
        model="demo",
        demo=True,
        layout=Layout(Path("/s")),
        elsewhere=elsewhere,
        policy=(Path("/p"),),
        engines="127.0.0.1:8000",
    )
    (line,) = [line for line in page(ready).splitlines() if "headgate usage" in line]
    assert line.split("--state ")[1] == ("/s --ledger YOUR_LEDGER" if elsewhere else "/s")
