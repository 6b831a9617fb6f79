"""That tables, views and the other modules speak of the same columns; sums that overflow 64 bits."""

import pytest
from sqlalchemy import create_engine, literal_column, select, text

from ledger.booking import Values
from ledger.row import Row
from ledger.sql import open_ledger
from ledger.tables import AMOUNTS, COSTS, DIMENSIONS, ENTRY, FLAGS, REQUEST, USAGE, halves
from tests.ledger.books import reading


def test_rows_fill_the_columns_of_an_entry_in_their_order():
    names = [column.name for column in ENTRY.c]
    assert names[:2] == ["seq", "settle_key"]
    assert tuple(names[5:-2]) == Row.__struct_fields__[1:]


def test_every_dimension_amount_and_flag_is_a_field_of_a_row():
    assert {*DIMENSIONS, *AMOUNTS, *FLAGS} < set(Row.__struct_fields__)
    assert set(COSTS) < set(AMOUNTS)
    assert Values is not None


@pytest.mark.parametrize("view", [REQUEST, USAGE], ids=lambda view: view.name)
def test_views_have_the_columns_they_are_declared_with(where, view):
    open_ledger(where).close()
    with reading(where) as connection:
        found = list(connection.execute(text(f"SELECT * FROM {view.name}")).keys())
        assert found == list(connection.execute(select(view)).keys())


@pytest.mark.parametrize("amounts", [[2**62] * 5, [-(2**62)] * 5, [2**62, -(2**62) + 1, -7], [0]])
def test_halves_add_up_beyond_64_bits(amounts):
    engine = create_engine("sqlite://")
    values = " UNION ALL ".join(f"SELECT {amount} AS x" for amount in amounts)
    with engine.begin() as connection:
        query = select(*halves(literal_column("x"))).select_from(text(f"({values})"))
        high, low = connection.execute(query).one()
    engine.dispose()
    assert high * 1_000_000 + low == sum(amounts)
