"""Run the study: `python -m study [--quick] [--only CASE] [--seeds N] [--jobs N]`.

What was run is kept in `.headgate-study/` and not run again as long as the code is the same; so a study
that was stopped goes on where it was. `--quick` is one seed of a part, for two minutes.
"""

import argparse
import gc
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from study.measure import Figures
from study.plan import SEEDS, Spec, quick, specs
from study.report import report
from study.results import Results
from study.run import run
from study.store import Store
from study.tuned import Tuned, read

KEPT = Path(".headgate-study") / "runs.jsonl"
PAGE = Path("docs") / "routing-study.md"
TOLD_S = 5.0
"""Between two lines of progress."""


def main(args: Sequence[str]) -> None:
    """Run what is missing, then write the report."""
    parser = argparse.ArgumentParser(prog="python -m study")
    parser.add_argument("--quick", action="store_true", help="one seed of a part; no report")
    parser.add_argument("--only", metavar="CASE", help="one case; no report")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--kept", type=Path, default=KEPT, help="where runs are kept")
    parser.add_argument("--page", type=Path, default=PAGE, help="what to write the report into")
    parser.add_argument("--report", action="store_true", help="run nothing: report what is kept")
    options = parser.parse_args(args)
    seeds = SEEDS[: 1 if options.quick else options.seeds]
    wanted = list(quick(seeds[0])) if options.quick else list(specs(seeds))
    if options.only:
        wanted = [spec for spec in wanted if spec.case == options.only]
    tuned, store = read(), Store(options.kept)
    known = store.read()
    missing = [spec for spec in wanted if spec not in known]
    print(f"{len(wanted)} runs, of which {len(wanted) - len(missing)} are there already")
    for spec, figures, seconds in run_all([] if options.report else missing, tuned, options.jobs):
        store.add(spec, figures, seconds)
    known = store.read()
    results = Results({spec: known[spec] for spec in wanted if spec in known})
    if options.quick or options.only:
        show(results, wanted)
    else:
        report(results, tuned, options.page, len(seeds))
        print(f"written: {options.page}")


def timed(spec: Spec, tuned: Tuned) -> tuple[Figures, float]:
    """Run one; seconds of CPU that it took."""
    began_s = time.process_time()
    figures = run(spec, tuned)
    return figures, round(time.process_time() - began_s, 3)


def run_all(
    missing: Sequence[Spec], tuned: Tuned, jobs: int
) -> Iterator[tuple[Spec, Figures, float]]:
    """As they get ready."""
    told_s = began_s = time.monotonic()
    # A run leaves no cycles behind, and has a million objects to look through: a tenth of its time.
    with ProcessPoolExecutor(jobs, initializer=gc.disable) as executor:
        running = {executor.submit(timed, spec, tuned): spec for spec in missing}
        for count, done in enumerate(as_completed(running), 1):
            yield running[done], *done.result()
            if time.monotonic() - told_s > TOLD_S:
                told_s = time.monotonic()
                left_s = (told_s - began_s) / count * (len(missing) - count)
                print(f"{count} of {len(missing)}; {left_s / 60:.0f} min left", flush=True)


def show(results: Results, wanted: Sequence[Spec]) -> None:
    """On the terminal: the figure that goals are about."""
    for spec in dict.fromkeys(wanted):
        if results.has(spec) and spec.seed == wanted[0].seed:
            p95 = results.of(spec, lambda figures: figures.p95_ttft_s)
            hits = results.of(spec, lambda figures: figures.hit_ratio)
            about = f"{spec.case} {spec.load} % {spec.picker}"
            more = f"{spec.replicas} endpoints, {spec.gateways} gateways, {spec.sight}"
            print(f"{about:32} p95 TTFT {p95.mean:8.3f} s, hit ratio {hits.mean:.3f}  ({more})")


if __name__ == "__main__":
    main(sys.argv[1:])
