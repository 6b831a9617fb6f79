import pytest
from sqlalchemy import select

from audit import sheets
from audit.tables import COLUMNS, ENTRY
from ledger.raw import stream
from tests.audit.stores import fill, reading


def test_a_line_has_the_columns():
    assert sheets.Line.__struct_fields__ == COLUMNS


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_records_come_back_as_they_were_stored(where, tmp_path, form):
    fill(where, tmp_path)
    with reading(where) as database, database.transaction() as connection:
        rows = list(stream(connection, select(ENTRY).order_by(ENTRY.c.seq)))
    path = tmp_path / f"file.{form}"
    sheets.write(path, form, rows)
    assert list(sheets.read(path, form)) == rows


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_file_that_cannot_be_read_is_something_else(tmp_path, form):
    with pytest.raises(OSError, match="No such file"):
        list(sheets.read(tmp_path / "none", form))


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_what_is_no_file_of_records_is_a_value_error(tmp_path, form):
    path = tmp_path / "file"
    path.write_text('{"seq": 1}\n')
    with pytest.raises(ValueError, match=r"missing|Parquet"):
        list(sheets.read(path, form))
