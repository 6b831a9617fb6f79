"""Waiting for a ledger that somebody else holds: for those who do not come back in a moment."""

import time
from collections.abc import Callable
from typing import TypeVar

from ledger.store import LedgerUnavailableError

TRIES, PAUSE_S = 20, 0.25
"""With half a second for each try, a ledger may be held for a quarter of a minute."""

T = TypeVar("T")


def patiently(run: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """Run a whole transaction, again when it was kept out. Raises LedgerUnavailableError."""
    for _ in range(TRIES - 1):
        try:
            return run()
        except LedgerUnavailableError:
            sleep(PAUSE_S)
    return run()
