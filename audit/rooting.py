"""Signed statements of where the chain of records stands, by the key that signs the ledger's roots."""

import time
from collections.abc import Callable
from pathlib import Path

from audit.store import prepare
from audit.tables import TABLES
from ledger.database import Database
from ledger.roots import Rooting
from ledger.signing import Signer

FILE_NAME = "audit-roots.jsonl"


class AuditRooting:
    """The duty: sign when anything has changed, and keep the file up with the store."""

    name = "audit_roots"
    at_stop = True

    def __init__(
        self,
        database: Database,
        signer: Signer,
        file: Path,
        *,
        every_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.every_s = every_s
        self._database = database
        self._rooting = Rooting(database, signer, file, every_s=every_s, clock=clock, tables=TABLES)

    def run(self) -> None:
        """Raises LedgerError, OSError."""
        prepare(self._database)
        self._rooting.run()
