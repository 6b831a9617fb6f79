from decimal import Decimal

from pyarrow import parquet

from ledger.files import writing
from tests.ledger.test_files import COLUMNS, DAY, NOTHING, ROW


def test_values_are_exact(tmp_path):
    path = tmp_path / "t.parquet"
    with writing(path, "parquet", COLUMNS) as table:
        table.write([ROW, NOTHING])
        table.write([ROW])
    found = parquet.read_table(path)
    assert found.num_rows == 3
    first, second, _ = found.to_pylist()
    assert first["cost"] == Decimal("-0.000000000001")
    assert first["quantity"] == Decimal("1.5")
    assert first["tokens"] == 10**20
    assert first["at"].isoformat() == "2026-01-31T12:00:00+00:00"
    assert (first["day"], first["hash"], first["other"]) == (DAY, b"\x00\xff", True)
    assert set(second.values()) == {None}
