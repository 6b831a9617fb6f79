from audit.tables import CHAIN, COLUMNS, ENTRY, METADATA
from ledger import tables as ledgers


def test_the_hash_is_the_last_column_and_over_all_others():
    assert COLUMNS[-1] == "hash"
    assert len(COLUMNS) == len(ENTRY.c) == 14


def test_no_table_has_a_name_of_the_ledgers():
    assert not METADATA.tables.keys() & ledgers.METADATA.tables.keys()


def test_the_chain_has_the_ledgers_columns():
    assert [column.name for column in CHAIN.c][1:] == [column.name for column in ledgers.CHAIN.c][
        1:
    ]
