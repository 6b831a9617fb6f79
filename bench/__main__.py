"""`make bench`: what the gateway costs, in one run. A goal that is missed does not fail it."""

import argparse
import asyncio
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

from bench.goals import judge
from bench.measure import BenchError
from bench.phases import Bench
from bench.plan import DEFAULT, QUICK, Plan
from bench.report import Setting, tables, to_json, to_markdown, to_text
from bench.results import summarise
from bench.runs import Runs
from bench.stack import rig
from bench.variants import VARIANTS, VariantError
from dataplane.gateway import ConfigError
from extproc.cli.children import ChildError
from extproc.cli.preflight import UpError, find_envoy

PHASES = ("closed", "open", "streams", "memory")


class Flags(argparse.Namespace):
    """The flags with their types; the parser fills them in."""

    quick: bool
    only: list[str]
    json: Path | None
    markdown: Path | None
    envoy: Path | None


async def run(plan: Plan, phases: list[str], envoy: Path, say: Callable[[str], None]) -> Runs:
    """Start everything, run the phases in order, stop everything."""
    main = asyncio.current_task()
    assert main is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, main.cancel)
    # Short: unix sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as root:
        async with rig(Path(root), envoy) as started:
            bench = Bench(plan, started, say)
            upstreams = await bench.start()
            steps: dict[str, Callable[[], Awaitable[None]]] = {
                "closed": bench.closed,
                "open": bench.open_loop,
                "streams": bench.streams,
                "memory": lambda: bench.memory(upstreams),
            }
            for phase in phases:
                await steps[phase]()
            say("stopping")
        return bench.runs


def envoy_version(envoy: Path) -> str:
    """The version out of `... version: HASH/1.40.0/Clean/RELEASE/BoringSSL`."""
    asked = subprocess.run(  # noqa: S603 - the binary that was run all along
        [envoy, "--version"], capture_output=True, text=True, check=True
    )
    return asked.stdout.rpartition("version: ")[2].split("/")[1]


def parse(arguments: list[str] | None) -> Flags:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="under a minute, to see that it works")
    add("--only", nargs="+", choices=PHASES, default=list(PHASES), help="these phases only")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--markdown", type=Path, metavar="FILE", help="write the tables there")
    add("--envoy", type=Path, metavar="FILE", help="the binary (.tools/bin/envoy)")
    return parser.parse_args(arguments, namespace=Flags())


def main(arguments: list[str] | None = None) -> int:
    flags = parse(arguments)
    begun, load_before = monotonic(), os.getloadavg()[0]

    def say(text: str) -> None:
        print(f"[{monotonic() - begun:4.0f} s] {text}", file=sys.stderr, flush=True)

    try:
        envoy = find_envoy(flags.envoy, Path.cwd())
        plan = QUICK if flags.quick else DEFAULT
        phases = [phase for phase in PHASES if phase in flags.only]
        runs = asyncio.run(run(plan, phases, envoy, say))
    except (UpError, ChildError, ConfigError, BenchError, VariantError, OSError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("bench: stopped", file=sys.stderr)
        return 130
    setting = Setting(
        cpus=os.cpu_count() or 0,
        load_before=load_before,
        load_after=os.getloadavg()[0],
        envoy=envoy_version(envoy),
        python=platform.python_version(),
        seconds=monotonic() - begun,
    )
    results = summarise(runs)
    goals = judge(results)
    made = tables(results, goals, setting)
    print()
    print("\n".join(f"{variant.name:9} {variant.title}" for variant in VARIANTS), end="\n\n")
    print(to_text(made))
    if flags.json:
        flags.json.write_bytes(to_json(results, goals, setting))
    if flags.markdown:
        flags.markdown.write_text(to_markdown(made), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
