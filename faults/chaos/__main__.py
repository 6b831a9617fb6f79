"""Let engines fail in every way, print what a client saw of each. Exit code 0: as it must be; 1: not."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from faults.chaos.scene import scene
from faults.chaos.seen import ChaosError
from faults.chaos.table import CASES, line, run, to_markdown, write_into
from faults.stand import StandError


class Flags(argparse.Namespace):
    """The flags with their types; the parser fills them in."""

    markdown: Path | None


def parse(arguments: Sequence[str]) -> Flags:
    parser = argparse.ArgumentParser(prog="python -m faults.chaos", description=__doc__)
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="put the table into this page"
    )
    return parser.parse_args(arguments, namespace=Flags())


def main(arguments: Sequence[str]) -> int:
    flags, lines, failed = parse(arguments), list[str](), False
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as root, scene(Path(root)) as made:
        for case in CASES:
            try:
                lines.append(line(case, run(case, made)))
            except (ChaosError, StandError) as fault:
                lines.append(f"| {fault} | | | |")
                failed = True
            sys.stderr.write(f"[{time.monotonic() - begun_s:4.0f} s] {lines[-1]}\n")
    sys.stdout.write(to_markdown(lines) + "\n")
    if flags.markdown and not failed:
        write_into(flags.markdown, lines)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
