import io
from datetime import date

import pytest

from ledger.files import Column, CsvWriter, form_of, replacing, write_value, writing

COLUMNS = [
    Column("name", "text"), Column("requests", "count"), Column("share", "real"),
    Column("other", "flag"), Column("cost", "usd"), Column("quantity", "millionths"),
    Column("tokens", "whole"), Column("at", "time"), Column("day", "date"), Column("hash", "bytes"),
]  # fmt: skip
DAY = date(2026, 1, 31)
ROW = ["a,b", -1, 0.5, True, -1, 1_500_000, 10**20, 1_769_860_800_000, DAY, b"\x00\xff"]
NOTHING = [None] * len(COLUMNS)


def test_csv(tmp_path):
    path = tmp_path / "t.csv"
    with writing(path, "csv", COLUMNS) as table:
        table.write([ROW, NOTHING])
    assert path.read_text().splitlines() == [
        "name,requests,share,other,cost,quantity,tokens,at,day,hash",
        '"a,b",-1,0.5,true,-0.000000000001,1.5,100000000000000000000,2026-01-31T12:00:00Z,2026-01-31,00ff',
        ",,,,,,,,,",
    ]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_without_rows(form, tmp_path):
    with writing(tmp_path / "t", form, COLUMNS):
        pass
    assert (tmp_path / "t").stat().st_size > 0


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\t=1", "'\t=1"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_texts_that_a_spreadsheet_would_compute(text, cell):
    for guarded, expected in ((True, cell), (False, text)):
        out = io.StringIO()
        CsvWriter(out, [Column("t", "text"), Column("n", "count")], guarded=guarded).write(
            [[text, -1]]
        )
        assert out.getvalue() == f"t,n\n{expected},-1\n"


def test_a_file_is_there_as_a_whole_or_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), replacing(path) as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "before"
    with replacing(path) as draft:
        draft.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "1970-01-01T00:00:00Z"), (1001, "1970-01-01T00:00:01.001Z")]
)
def test_times(ms, text):
    assert write_value("time", ms) == text


def test_forms(tmp_path):
    assert form_of(tmp_path / "a.parquet") == "parquet"
    assert form_of(tmp_path / "a.parquet.csv") == "csv"
