"""Results -> SVG: small, and the same bytes for the same figures."""
# pyright: reportUnknownMemberType=false
# (matplotlib says only half of its types)

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from study.cases import CASES, Case
from study.plan import OURS, PICKERS, Spec
from study.results import Results, hits, p95_ttft

COLORS: Mapping[str, str] = MappingProxyType(
    {
        "random": "#bbbbbb",
        "round_robin": "#999999",
        "least_request": "#4c78a8",
        "peak_ewma": "#72b7b2",
        "queue_depth": "#9d755d",
        "token_estimate": "#b279a2",
        "chwbl": "#54a24b",
        "weighted": "#f58518",
        OURS: "#e45756",
    }
)
SETTINGS = {
    "svg.hashsalt": "headgate",
    "svg.fonttype": "none",  # text stays text: small, and found by a search
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def plot(results: Results, folder: Path) -> list[str]:
    """Draw one picture for each case."""
    folder.mkdir(parents=True, exist_ok=True)
    made: list[str] = []
    with plt.style.context(SETTINGS):
        for case in CASES.values():
            if not any(results.has(Spec(case.title, OURS, load, 0)) for load in case.loads):
                continue
            draw = draw_bars if case.threads else draw_loads
            figure, axes = plt.subplots(1, 2, figsize=(8.4, 2.9))
            draw(results, case, list(axes))
            figure.tight_layout()
            name = f"{case.title}.svg"
            figure.savefig(folder / name, metadata={"Date": None, "Creator": None})
            plt.close(figure)
            made.append(name)
    return made


def draw_loads(results: Results, case: Case, axes: list[Axes]) -> None:
    """p95 TTFT and hit ratio over load, with intervals."""
    for picker in PICKERS:
        specs = [Spec(case.title, picker, load, 0) for load in case.loads]
        specs = [spec for spec in specs if results.has(spec)]
        if not specs:
            continue
        loads = [spec.load for spec in specs]
        for axis, figure in zip(axes, (p95_ttft, hits), strict=True):
            found = [results.of(spec, figure) for spec in specs]
            means = [each.mean for each in found]
            width = 2.2 if picker == OURS else 1.2
            axis.plot(loads, means, color=COLORS[picker], lw=width, marker="o", ms=3, label=picker)
            if len(results.seeds(specs[0])) > 1:
                low = [max(each.low, each.mean / 100) for each in found]
                high = [each.high for each in found]
                axis.fill_between(loads, low, high, color=COLORS[picker], alpha=0.15, lw=0)
    axes[0].set_yscale("log")
    axes[0].set_ylabel("p95 TTFT, s")
    axes[1].set_ylabel("hit ratio")
    axes[1].set_ylim(0, 1)
    for axis in axes:
        axis.set_xlabel("load, % of capacity")
    axes[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def draw_bars(results: Results, case: Case, axes: list[Axes]) -> None:
    """One bar for each picker."""
    pickers = [name for name in PICKERS if results.has(Spec(case.title, name, 100, 0))]
    for axis, figure in zip(axes, (p95_ttft, hits), strict=True):
        found = [results.of(Spec(case.title, name, 100, 0), figure) for name in pickers]
        halves = [each.half if each.half < 1e9 else 0.0 for each in found]
        axis.barh(
            pickers,
            [each.mean for each in found],
            xerr=halves,
            color=[COLORS[name] for name in pickers],
            error_kw={"lw": 1},
        )
        axis.invert_yaxis()
    axes[0].set_xscale("log")
    axes[0].set_xlabel("p95 TTFT, s")
    axes[1].set_xlabel("hit ratio")
    axes[1].set_xlim(0, 1)
    axes[1].set_yticklabels([])
