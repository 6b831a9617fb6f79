"""Results -> `docs/routing-study.md`, its pictures, and the tables that are too long for it."""

import json
from pathlib import Path

from study.cases import CASES, NORMAL_LOAD
from study.plan import OURS
from study.plots import plot
from study.results import Results
from study.tables import (
    of_all,
    of_case,
    of_goals,
    of_kubeai,
    of_replicas,
    of_scales,
    of_sights,
    table,
)
from study.tuned import Tuned

BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"
HEAD = """# The routing study: every case, every load, every picker

Made by `make study-routing`; what it means is in [routing-study.md](../routing-study.md). TTFT in seconds;
means over seeds, ± half of the 95 % confidence interval.

"""


def report(results: Results, tuned: Tuned, page: Path, seeds: int) -> None:
    """Renew what stands between the marks of the page; all of the folder beside it."""
    folder = page.with_suffix("")
    plot(results, folder)
    (folder / "tables.md").write_text(HEAD + "\n".join(of_all(results)))
    put(page, body(results, tuned, folder.name, seeds))


def put(page: Path, text: str) -> None:
    """Raises ValueError for a page without marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{page} has no {BEGIN} ... {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def body(results: Results, tuned: Tuned, folder: str, seeds: int) -> str:
    """Everything that is measured."""
    hours = results.seconds / 3600
    parts = [
        f"{results.count} runs, up to {seeds} seeds; {hours:.1f} hours of one core.\n",
        f"### {OURS} against the best of the others\n",
        of_goals(results),
        "### KubeAI's figures, side by side\n",
        of_kubeai(results),
        "### Gateways that share nothing\n",
        of_replicas(results),
        "### Seeing less\n",
        of_sights(results),
        "### More endpoints\n",
        of_scales(results),
        f"### Every picker at {NORMAL_LOAD} %\n",
        f"All loads: [{folder}/tables.md]({folder}/tables.md). TTFT in seconds.\n",
    ]
    for case in CASES.values():
        found = of_case(results, case, case.normal_load)
        if not found:
            continue
        rate = "" if case.threads else f"; 100 % is {tuned.capacity[case.title]:.0f} requests/s"
        parts += [
            f"#### {case.title}: {case.about}{rate}\n",
            f"![p95 TTFT and hit ratio]({folder}/{case.title}.svg)\n",
            found,
        ]
    parts += ["### What tuning found\n", of_tuning(tuned)]
    return "\n".join(part for part in parts if part)


def of_tuning(tuned: Tuned) -> str:
    rows = [
        [
            each.picker,
            each.case if each.case != "*" else "all",
            f"{each.gain:+.0%}",
            ", ".join(f"{name}: {json.dumps(value)}" for name, value in each.changes.items())
            or "the defaults",
        ]
        for each in tuned.settings
    ]
    return table(["picker", "case", "p95 TTFT on the tuning traces", "best setting"], rows)
