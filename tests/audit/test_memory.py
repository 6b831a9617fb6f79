import pytest

from audit.memory import MemoryAudit
from audit.record import AuditLog
from tests.audit.stores import record


def test_it_keeps_records_and_can_be_broken():
    audit = MemoryAudit()
    log: AuditLog = audit
    log.write(record(1))
    audit.broken = True
    with pytest.raises(OSError, match="No space"):
        log.write(record(2))
    assert audit.records == [record(1)]
