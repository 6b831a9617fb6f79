from contextlib import closing

import pytest

from ledger.finished import finished
from ledger.sql import open_ledger
from ledger.store import Change, LedgerError
from ledger.tail import READ_BYTES, identify

LINES = b'{"type":"one"}\n{"type":"two"}\n'
TORN = b'{"type":"Downs'


def read_to(where, offsets):
    """Commit how far these files were read."""
    known = {}
    for path, offset in offsets.items():
        with path.open("rb") as file:
            known[identify(file.fileno())] = offset
    with closing(open_ledger(where)) as ledger:
        ledger.commit(Change(offsets=known))


def test_only_what_is_read_to_its_end_may_go(where, tmp_path):
    contents = {
        "whole": (LINES, len(LINES)),
        "torn": (LINES + TORN, len(LINES)),
        "half": (LINES, 15),
        "far": (LINES + b"x" * READ_BYTES, len(LINES)),
        "unseen": (LINES, None),
        "nothing": (TORN, None),
    }
    for name, (data, _) in contents.items():
        (tmp_path / name).write_bytes(data)
    offsets = {tmp_path / n: offset for n, (_, offset) in contents.items() if offset is not None}
    read_to(where, offsets)
    found = finished(where, [tmp_path / name for name in contents])
    assert [path.name for path in found] == ["whole", "torn", "nothing"]


def test_without_a_ledger_nothing_may_go(tmp_path):
    with pytest.raises(LedgerError):
        finished(tmp_path / "none.sqlite", [tmp_path / "log"])
