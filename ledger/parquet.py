"""Tables in Parquet. Whoever needs none imports neither this nor pyarrow: see `files.writing`."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast

import pyarrow as pa
from pyarrow import parquet

from ledger.files import DIGITS, Column, Kind, Value

_TYPES: Mapping[Kind, Callable[[], pa.DataType]] = {
    "text": pa.string,
    "count": pa.int64,
    "real": pa.float64,
    "flag": pa.bool_,
    "usd": lambda: pa.decimal128(38, 12),
    "millionths": lambda: pa.decimal128(38, 6),
    "whole": lambda: pa.decimal128(38, 0),
    "time": lambda: pa.timestamp("ms", "UTC"),
    "date": pa.date32,
    "bytes": pa.binary,
}


class ParquetWriter:
    """A row group for each call."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._kinds: list[Kind] = [column.kind for column in columns]
        self._schema = pa.schema((column.name, _TYPES[column.kind]()) for column in columns)
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: Sequence[Sequence[Value]]) -> None:
        columns = zip(*rows, strict=True)
        arrays = [_array(kind, column) for kind, column in zip(self._kinds, columns, strict=True)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _array(kind: Kind, values: Sequence[Value]) -> pa.Array:
    digits = DIGITS.get(kind)
    if digits is None:
        return pa.array(values, _TYPES[kind]())
    exact = (
        None if value is None else Decimal(cast("int", value)).scaleb(-digits) for value in values
    )
    return pa.array(exact, _TYPES[kind]())
