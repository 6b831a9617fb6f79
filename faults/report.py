"""Results -> a table on a terminal, Markdown for docs, JSON for machines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from faults.cases import BY_NAME
from faults.run import Result, Setting

HEAD = (
    "fault", "requests", "mended", "5xx", "broken", "unsettled", "untold", "no row", "caught up",
    "wrong",
)  # fmt: skip
BEGIN, END = "<!-- faults -->", "<!-- /faults -->"
SHOWN_PROBLEMS = 20
PLAIN_WIDTH = 160
"""Of a file or a pipe, which has none of its own."""


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run."""

    setting: Setting
    results: Sequence[Result]
    not_run: Sequence[str] = ()
    """Cases that could not be tried here, and why."""

    @property
    def is_clean(self) -> bool:
        return not any(result.verdict.problems for result in self.results)


def cells(result: Result) -> tuple[str, ...]:
    verdict, caught_up_s = result.verdict, result.caught_up_s
    return (
        str(verdict.requests),
        f"{result.mended_s:.1f} s",
        str(verdict.errors),
        str(verdict.broken),
        str(verdict.unsettled),
        str(verdict.untold),
        str(verdict.absent),
        "never" if caught_up_s is None else f"{caught_up_s:.1f} s",
        str(len(verdict.problems)),
    )


def show(report: Report, out: TextIO) -> None:
    """Print the table, and below it what is wrong."""
    console = Console(file=out, highlight=False, width=None if out.isatty() else PLAIN_WIDTH)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(HEAD[0])
    for name in HEAD[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for result in report.results:
        style = "red" if result.verdict.problems else None
        table.add_row(result.case, *cells(result), style=style)
    console.print(table)
    for result in report.results:
        problems = result.verdict.problems
        out.writelines(f"{result.case}: {problem}\n" for problem in problems[:SHOWN_PROBLEMS])
        if len(problems) > SHOWN_PROBLEMS:
            out.write(f"{result.case}: and {len(problems) - SHOWN_PROBLEMS} more\n")
    out.writelines(f"not run: {line}\n" for line in report.not_run)


def to_json(report: Report) -> bytes:
    whole = {
        "setting": report.setting,
        "clean": report.is_clean,
        "results": report.results,
        "not_run": report.not_run,
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def to_markdown(report: Report) -> str:
    head = ("what is done", "what clients may see", *HEAD[1:])
    rule = ("---", "---", *("---:" for _ in HEAD[1:]))
    rows = [
        (BY_NAME[result.case].does, BY_NAME[result.case].sees, *cells(result))
        for result in report.results
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *rows))


def write_into(page: Path, report: Report) -> None:
    """Put the table between the marks of a page. Raises: OSError, ValueError."""
    text = page.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{page} has no place for the table: {BEGIN} and {END}")
    table = f"{BEGIN}\n{to_markdown(report)}\n{END}"
    page.write_text(pattern.sub(lambda _: table, text), encoding="utf-8")
