"""Results -> tables in Markdown."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from study.cases import CASES, Case
from study.judge import KEPT, PUBLISHED_TOKENS, PUBLISHED_TTFT, WIN, WINS, kept, sides, versus
from study.plan import (
    ABLATED,
    OURS,
    PICKERS,
    SCALED,
    SCALES,
    Spec,
)
from study.results import Of, Results, hits, p95_ttft
from study.sights import PLAIN, SIGHTS
from study.stats import Interval

COLUMNS: Sequence[tuple[str, Of, float, int]] = (
    ("TTFT mean", lambda f: f.mean_ttft_s, 1, 3),
    ("p50", lambda f: f.p50_ttft_s, 1, 3),
    ("p95", lambda f: f.p95_ttft_s, 1, 3),
    ("p99", lambda f: f.p99_ttft_s, 1, 3),
    ("TPOT, ms", lambda f: f.mean_tpot_s, 1000, 0),
    ("goodput", lambda f: f.goodput, 1, 2),
    ("tokens/s", lambda f: f.tokens_per_s, 1, 0),
    ("hit ratio", lambda f: f.hit_ratio, 1, 3),
    ("imbalance", lambda f: f.imbalance, 1, 2),
)
"""Title, figure, factor, digits."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first column is text, the others are figures. Nothing when there are no rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return ""
    ruler = "|---|" + "---:|" * (len(head) - 1)
    return "\n".join(["| " + " | ".join(head) + " |", ruler, *lines]) + "\n"


def number(found: Interval, factor: float = 1, digits: int = 3) -> str:
    """A mean and half its interval."""
    mean = f"{found.mean * factor:.{digits}f}"
    return mean if found.half > 1e9 else f"{mean} ±{found.half * factor:.{digits}f}"


def percent(found: Interval) -> str:
    """A change with its interval."""
    mean = f"{found.mean:+.0%}"
    return mean if found.half > 1e9 else f"{mean} (±{found.half:.0%})"


def of_case(results: Results, case: Case, load: int) -> str:
    """Every picker, every figure."""
    rows: list[list[str]] = []
    for picker in PICKERS:
        spec = Spec(case.title, picker, load, 0)
        if results.has(spec):
            cells = [number(results.of(spec, of), by, digits) for _, of, by, digits in COLUMNS]
            rows.append([picker, *cells])
    return table(["picker", *(title for title, *_ in COLUMNS)], rows)


def of_goals(results: Results) -> str:
    """p95 TTFT against the best of the others."""
    rows: list[list[str]] = []
    for each in versus(results):
        goal = f"{WIN:.0%}" if each.case in WINS else "not worse"
        rows.append(
            [
                f"{each.case} {each.load} %",
                str(each.seeds),
                number(each.ours_s),
                f"{each.best} {number(each.theirs_s)}",
                percent(each.change),
                goal,
                "met" if each.is_met else "**missed**",
            ]
        )
    return table(["case, load", "seeds", f"{OURS}, s", "best other, s", "change", "goal", ""], rows)


def of_replicas(results: Results) -> str:
    """Hit ratios of gateways that share nothing."""
    rows = [
        [
            f"{each.case}, {each.picker}",
            str(each.gateways),
            str(each.seeds),
            number(each.alone),
            number(each.together),
            percent(each.change),
            ("met" if each.is_met else "**missed**") if each.picker == OURS else "",
        ]
        for each in kept(results, ("chwbl", "weighted", OURS))
    ]
    head = [
        "case, picker",
        "gateways",
        "seeds",
        "hit ratio of one",
        "of all",
        "change",
        f"goal {KEPT:.0%}",
    ]
    return table(head, rows)


def of_kubeai(results: Results) -> str:
    """Published figures beside ours."""
    rows = [
        [
            f"{each.picker} against {each.before}",
            percent(each.ttft),
            percent(each.tokens),
            number(each.hit_ratio_before),
            number(each.hit_ratio),
        ]
        for each in sides(results)
    ]
    if rows:
        published = f"{PUBLISHED_TTFT:+.0%}", f"{PUBLISHED_TOKENS:+.0%}"
        rows.insert(0, ["*KubeAI, published: PrefixHash against random*", *published, "-", "-"])
    head = ["", "mean TTFT", "tokens/s", "hit ratio before", "after"]
    return table(head, rows)


def of_sights(results: Results) -> str:
    """What ours loses when it sees less."""
    rows: list[list[str]] = []
    for sight in SIGHTS:
        row = [sight]
        for case in ABLATED:
            plain = Spec(case, OURS, CASES[case].normal_load, 0)
            spec = msgspec.structs.replace(plain, sight=sight)
            if not results.has(spec):
                return ""
            if len(row) == 1:
                row.append(str(len(results.seeds(spec))))
            found = number(results.of(spec, p95_ttft))
            if sight != PLAIN:
                found += f", {percent(results.change(spec, plain, p95_ttft))}"
            row += [found, number(results.of(spec, hits))]
        rows.append(row)
    head = [
        "",
        "seeds",
        *(title for case in ABLATED for title in (f"{case}: p95 TTFT, s", "hit ratio")),
    ]
    return table(head, rows)


def of_scales(results: Results) -> str:
    """From one endpoint to many."""
    rows: list[list[str]] = []
    for case in SCALED:
        for picker in PICKERS:
            load = CASES[case].normal_load
            specs = [Spec(case, picker, load, 0, replicas=each) for each in SCALES]
            if any(results.has(spec) for spec in specs if spec.replicas != 8):
                cells = [
                    number(results.of(spec, p95_ttft)) if results.has(spec) else "-"
                    for spec in specs
                ]
                rows.append([f"{case}, {picker}", *cells])
    return table(["p95 TTFT, s", *(f"{each} endpoints" for each in SCALES)], rows)


def of_all(results: Results) -> Iterator[str]:
    """Every case at every load."""
    for case in CASES.values():
        for load in case.loads:
            found = of_case(results, case, load)
            if found:
                yield f"## {case.title}, {load} %\n\n{case.about}.\n\n{found}"
