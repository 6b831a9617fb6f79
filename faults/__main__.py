"""Break one thing after the other under load, and compare the ledger with what clients saw: `make faults`.
Exit code 0: nothing is wrong; 1: something is; 2: it could not be tried."""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from faults.cases import BY_NAME, CASES
from faults.cases.case import Case
from faults.place import MOUNTED
from faults.report import Report, show, to_json, write_into
from faults.run import Result, Setting, run
from faults.server import ServerError
from faults.stand import StandError
from faults.volume import VolumeError, find_way
from ledger.store import LedgerError

DEFAULT = Setting()


class Flags(argparse.Namespace):
    """The flags with their types; the parser fills them in."""

    only: list[str]
    seconds: float
    rate: float
    json: Path | None
    markdown: Path | None
    keep: bool
    may_mount: bool


def parse(arguments: Sequence[str]) -> Flags:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    add = parser.add_argument
    names = [case.name for case in CASES]
    add("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    add("--seconds", type=float, default=DEFAULT.seconds, help="of load, at least (20)")
    add("--rate", type=float, default=DEFAULT.rate, help="requests per second (50)")
    add("--json", type=Path, metavar="FILE", help="write everything there")
    add("--markdown", type=Path, metavar="FILE", help="put the table into this page")
    add("--keep", action="store_true", help="leave logs, journals and ledgers behind")
    add("--may-mount", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments, namespace=Flags())


def main(arguments: Sequence[str]) -> int:
    flags = parse(arguments)
    begun_s = monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"[{monotonic() - begun_s:4.0f} s] {text}\n")

    cases = [BY_NAME[name] for name in flags.only]
    not_run: list[str] = []
    mounting = [case for case in cases if case.place in MOUNTED]
    if mounting and not flags.may_mount:
        try:
            way = find_way()
        except VolumeError as fault:
            not_run = [f"{case.name}: {fault}" for case in mounting]
            cases = [case for case in cases if case not in mounting]
        else:
            command = (*way, sys.executable, "-m", "faults", "--may-mount", *arguments)
            os.execvp(command[0], command)  # noqa: S606 - ourselves, where we may mount
    setting = Setting(flags.seconds, flags.rate)
    try:
        report = Report(setting, run_all(cases, setting, flags.keep, say), not_run)
    except (StandError, VolumeError, ServerError, LedgerError, OSError) as fault:
        sys.stderr.write(f"faults: {fault}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    show(report, sys.stdout)
    if flags.json:
        flags.json.write_bytes(to_json(report))
    if flags.markdown:
        write_into(flags.markdown, report)
    return 0 if report.is_clean else 1


def run_all(
    cases: Sequence[Case], setting: Setting, keep: bool, say: Callable[[str], None]
) -> list[Result]:
    results: list[Result] = []
    for case in cases:
        root = Path(tempfile.mkdtemp(prefix="faults-"))  # short: unix sockets lie below it
        try:
            result = asyncio.run(run(case, setting, root, say))
        finally:
            if keep:
                say(f"{case.name}: logs, journal and ledger are in {root}")
            else:
                shutil.rmtree(root)
        say(f"{case.name}: {len(result.verdict.problems)} problems")
        results.append(result)
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
