"""The journal on disk: `ports.Journal` over `ledger.journal`."""

import os
import time
from pathlib import Path

from extproc.request import Identity, Model, Operation, Prompt, Request
from ledger.journal import JournalEntry, JournalWriter


class FileJournal:
    """One file at a time, of this process alone."""

    def __init__(self, directory: Path) -> None:
        """Raises: OSError."""
        self._writer = JournalWriter(directory, start_ns=time.time_ns(), pid=os.getpid())

    def record(self, request: Request, policy: str) -> None:
        identity, model, prompt = request.fact(Identity), request.fact(Model), request.fact(Prompt)
        self._writer.append(
            JournalEntry(
                at=time.time(),
                settle_key=request.settle_key,
                request_id=request.request_id,
                trace_id=request.trace_id,
                operation=request.fact(Operation).kind.value,
                tenant=identity.tenant,
                project=identity.project or None,
                user=identity.user or None,
                key_id=identity.key_id,
                model=model.name,
                pool=model.pool,
                stream=prompt.stream,
                policy=policy,
                groups=identity.list_groups() or None,
                region=identity.region or None,
                track=model.track,
                version=model.version,
                n=prompt.n if prompt.n > 1 else None,
                price=model.price or None,
            )
        )

    def close(self) -> None:
        self._writer.close()
