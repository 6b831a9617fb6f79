"""The access log does not grow for ever: a full one is set aside, and the oldest ones go.

A file is renamed, then Envoy is asked to open a new one. The settle process reads a renamed file to
its end before it goes on with the next, so nothing is lost in between.
"""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

ROTATE_BYTES = 256 * 1024 * 1024
"""About 300 000 requests. The ledger holds their rows long before."""
KEPT = 4
"""Files set aside: a gigabyte, for those who look for a request by hand. The settle process is behind
by less than a second, so what goes is settled for days."""
LOOK_S = 5.0


async def rotate(
    log: Path, reopen: Callable[[], Awaitable[None]], limit_bytes: int = ROTATE_BYTES
) -> bool:
    """Set the log aside if it is full; tell whether it was. Raises: OSError."""
    if not log.exists() or log.stat().st_size < limit_bytes:
        return False
    log.rename(log.with_name(f"{log.name}.{time.time_ns()}"))
    await reopen()
    for old in sorted(log.parent.glob(f"{log.name}.*"))[:-KEPT]:
        old.unlink()
    return True
