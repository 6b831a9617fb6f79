"""Write what docs take from code, tables and the policy's JSON Schema: `python docs/tables.py`.
`--check` only compares.

A table stands between `<!-- NAME -->` and `<!-- /NAME -->`.
"""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from dataplane.gateway import Files, Gateway
from dataplane.replies import local_replies
from engines.base import ENGINES
from engines.kind import EVERY_OPERATION
from extproc.errors import ADVICE, Reason
from extproc.policy.schema import as_json, policy_schema
from telemetry.metrics import SETTLE_METRICS, WATCH_METRICS, WORKER_METRICS

HERE = Path(__file__).parent


def table(*rows: tuple[str, ...]) -> str:
    head, *body = rows
    lines = [head, tuple("---" for _ in head), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def errors() -> str:
    rows = [
        (
            f"`{reason.value.code}`",
            str(reason.value.status),
            f"`{reason.value.anthropic_type}`",
            reason.value.blame,
            "yes" if reason.value.retry else "no",
            ADVICE[reason],
        )
        for reason in Reason
    ]
    head = (
        "code",
        "status",
        "type for Anthropic",
        "whose fault",
        "does a retry help",
        "what to do",
    )
    return table(head, *rows)


def envoys_errors() -> str:
    here = Path()
    gateway = Gateway(0, Files.under(here), (here,), ())
    rows = [
        (
            f"`{reply.code}`",
            str(reply.sent_status) + (" and above" if reply.and_above else ""),
            f"`{reply.anthropic_type}`",
            "yes" if reply.retry_after_s else "no",
            reply.message,
        )
        for reply in local_replies(gateway)
    ]
    return table(("code", "status", "type for Anthropic", "Retry-After", "message"), *rows)


def metrics() -> str:
    rows = [
        (f"`{metric.full_name}`", ", ".join(metric.labels), metric.help)
        for metric in (*SETTLE_METRICS, *WORKER_METRICS, *WATCH_METRICS)
    ]
    return table(("metric", "labels", "what"), *rows)


def engines() -> str:
    rows = [
        (
            f"`{engine.name}`",
            spell(engine.operations),
            spell(engine.salted),
            yes(engine.metrics_path),
            yes(engine.lists_adapters),
            yes(engine.kv_events),
            yes(engine.tokenizes),
            yes(engine.continuous_usage),
            yes(engine.counts_tokens),
        )
        for engine in ENGINES.values()
    ]
    head = (
        "`engine`",
        "operations",
        "salted",
        "load",
        "adapters by name",
        "KV events",
        "counts prompts",
        "usage in every event",
        "compared with the ledger",
    )
    return table(head, *rows)


def spell(operations: frozenset[str]) -> str:
    if not operations:
        return "none"
    missing = ", ".join(sorted(EVERY_OPERATION - operations))
    few = ", ".join(sorted(operations))
    return "all" if not missing else f"all but {missing}" if len(missing) < len(few) else few


def yes(claim: object) -> str:
    return "yes" if claim else "no"


TABLES: Mapping[str, Callable[[], str]] = {
    "errors": errors,
    "envoys errors": envoys_errors,
    "metrics": metrics,
    "engines": engines,
}


def renew(text: str) -> str:
    """Return the document with its tables as they are now."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        renewed = f"{begin}\n{make()}\n{end}".replace("\\", r"\\")
        text = pattern.sub(renewed, text)
    return text


def main() -> int:
    wanted = {path: renew(path.read_text()) for path in sorted(HERE.glob("*.md"))}
    wanted[HERE / "policy.schema.json"] = as_json(policy_schema())
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        sys.stdout.write(f"{path.name}\n")
        if "--check" not in sys.argv:
            path.write_text(wanted[path])
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
