"""An audit log in memory, for tests."""

from audit.record import Record


class MemoryAudit:
    """Keeps the records; `broken` makes it fail like a full disk."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.broken = False

    def write(self, record: Record) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")
        self.records.append(record)
