"""Which of the servers that `headgate up` was given do not answer at its start. It starts all the same,
since they may come later; but whoever mistyped a host should not have to find it in a log."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

from extproc.errors import CountersFaultError
from extproc.stores.counters_redis import open_counters

PATIENCE_S = 0.8
"""Of all of them together: the start waits for it."""
POSTGRES_PORT = 5432


async def find_silent(redis: str, ledger: str, patience_s: float = PATIENCE_S) -> Sequence[str]:
    """Say in a line for each what does not answer, without its URL: a password may stand in it.
    `redis` are URLs that have been checked; both may be empty."""
    asked = (
        *(ask_counters(url, patience_s) for url in redis.split()),
        ask_ledger(ledger, patience_s),
    )
    return [line for line in await asyncio.gather(*asked) if line]


async def ask_counters(url: str, patience_s: float) -> str:
    """Have it write, which not every server that answers does."""
    try:
        async with asyncio.timeout(patience_s), open_counters(url, patience_s) as counters:
            await counters.probe()
    except (CountersFaultError, OSError) as exc:
        why = str(exc) or "no answer in time"
        return f"--redis does not answer ({why}): until it does, limits do what `on_fault` says."
    return ""


async def ask_ledger(ledger: str, patience_s: float) -> str:
    """Connect and no more: to log in takes SQLAlchemy, and 0.3 s of CPU to import it."""
    try:
        split = urlsplit(ledger)
        host, port = split.hostname, split.port or POSTGRES_PORT
        if not split.scheme.startswith("postgresql") or not host:
            return ""
        async with asyncio.timeout(patience_s):
            _, writer = await asyncio.open_connection(host, port)
    except ValueError:  # several hosts, or an odd path: the settle process knows what to make of it
        return ""
    except OSError as exc:
        why = str(exc) or "no answer in time"
        return f"--ledger does not answer ({why}): until it does, usage waits in the log."
    writer.close()
    return ""
