"""Write the tables that docs take from code: `python docs/tables.py`. `--check` only compares.

A table stands between `<!-- NAME -->` and `<!-- /NAME -->`.
"""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from extproc.errors import Reason
from telemetry.metrics import SETTLE_METRICS, WORKER_METRICS

HERE = Path(__file__).parent


def table(*rows: tuple[str, ...]) -> str:
    head, *body = rows
    lines = [head, tuple("---" for _ in head), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def errors() -> str:
    rows = [
        (f"`{r.value.code}`", str(r.value.status), r.value.blame, "yes" if r.value.retry else "no")
        for r in Reason
    ]
    return table(("code", "status", "whose fault", "does a retry help"), *rows)


def metrics() -> str:
    rows = [
        (f"`{metric.full_name}`", ", ".join(metric.labels), metric.help)
        for metric in (*SETTLE_METRICS, *WORKER_METRICS)
    ]
    return table(("metric", "labels", "what"), *rows)


TABLES: Mapping[str, Callable[[], str]] = {"errors": errors, "metrics": metrics}


def renew(text: str) -> str:
    """Return the document with its tables as they are now."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        renewed = f"{begin}\n{make()}\n{end}".replace("\\", r"\\")
        text = pattern.sub(renewed, text)
    return text


def main() -> int:
    stale = [
        path for path in sorted(HERE.glob("*.md")) if renew(path.read_text()) != path.read_text()
    ]
    for path in stale:
        sys.stdout.write(f"{path.name}\n")
        if "--check" not in sys.argv:
            path.write_text(renew(path.read_text()))
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
