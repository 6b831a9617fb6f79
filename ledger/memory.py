"""A ledger in memory: for tests, and the shortest statement of what a ledger does."""

from collections.abc import Collection

from ledger.row import Row
from ledger.store import Change, Open


class MemoryLedger:
    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._open: dict[str, Open] = {}
        self._offsets: dict[str, int] = {}

    def open_requests(self) -> dict[str, Open]:
        return dict(self._open)

    def offsets(self) -> dict[str, int]:
        return dict(self._offsets)

    def rows(self, keys: Collection[str]) -> dict[str, Row]:
        return {key: self._rows[key] for key in keys if key in self._rows}

    def all_rows(self) -> dict[str, Row]:
        return dict(self._rows)

    def commit(self, change: Change) -> None:
        self._rows.update((row.settle_key, row) for row in change.rows)
        for key in change.closed:
            self._open.pop(key, None)
        self._open.update(change.opened)
        self._offsets.update(change.offsets)
        for file_id in change.forgotten:
            self._offsets.pop(file_id, None)

    def close(self) -> None: ...
