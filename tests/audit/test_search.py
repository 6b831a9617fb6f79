import pytest

from audit.search import Search, find
from tests.audit.stores import START_MS, auditing, reading, record


@pytest.fixture
def found(where, tmp_path):
    with auditing(where, tmp_path) as audit:
        audit.write(*range(12))

    def search(**wanted):
        with reading(where) as database, database.transaction() as connection:
            return [
                int(hit.object.removeprefix("rule-")) for hit in find(connection, Search(**wanted))
            ]

    return search


def test_whatever_is_looked_for(found):
    every = list(range(12))
    assert found() == every
    assert found(limit=3) == [9, 10, 11]
    assert found(since_ms=START_MS + 10) == [10, 11]
    assert found(since_ms=START_MS + 3, until_ms=START_MS + 5) == [3, 4]
    assert found(tenant="acme") == found(action="pii.masked") == found(action="pii") == every[::3]
    assert found(action="pii.*") == every[::3]
    assert found(action="p") == found(action="pii%") == []
    assert found(actor="key-1") == [1, 5, 9]
    assert found(object="rule-7") == found(request_id="r7") == found(request_id="s7") == [7]
    assert found(tenant="") == every[2::3]
    assert found(tenant="acme", actor="key-0") == [0]


def test_a_hit_has_what_the_record_had(where, tmp_path):
    with auditing(where, tmp_path) as audit:
        audit.write(5)
    with reading(where) as database, database.transaction() as connection:
        (hit,) = find(connection, Search())
    known = record(5)
    assert all(getattr(hit, name) == getattr(known, name) for name in known.__struct_fields__)
