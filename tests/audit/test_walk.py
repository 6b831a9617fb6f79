import msgspec
import pytest

from audit.tables import CHAIN_NAME, COLUMNS
from audit.walk import MOST_FAULTS, Walk
from ledger.chain import Link, entry_hash
from ledger.roots import Document, Standing

SEQ, ACTOR = COLUMNS.index("seq"), COLUMNS.index("actor")


def chain(count):
    rows, head = [], Link().head
    for n in range(1, count + 1):
        content = (n, 10, "w", n * 5, 10, "a.b", "me", "", "", "", "", "", "{}")
        head = entry_hash(head, content)
        rows.append((*content, head))
    return rows


def standing(length, head, begin=0, begin_hash=b""):
    return Standing(CHAIN_NAME, length, head.hex(), begin, begin_hash.hex(), 0)


def walk_over(rows, stored, *documents):
    walk = Walk(stored)
    left = list(rows)
    for document in documents:
        while left and left[0][SEQ] <= document.entries:
            walk.entry(left.pop(0))
        walk.root(document)
    for row in left:
        walk.entry(row)
    walk.end()
    return [
        (fault.seq, fault.what.partition(":")[0].removesuffix(" or moved")) for fault in walk.faults
    ]


ROWS = chain(9)
WHOLE = standing(9, ROWS[-1][-1])


def root(length, **changes):
    at = standing(length, ROWS[length - 1][-1])
    return Document(1, 0, "k", "", length, (msgspec.structs.replace(at, **changes),))


def changed(row, column, value):
    return (*row[:column], value, *row[column + 1 :])


def test_what_is_as_it_was():
    assert walk_over(ROWS, WHOLE, root(4), root(9)) == []


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([*ROWS[:3], changed(ROWS[3], ACTOR, "you"), *ROWS[4:]], [(4, "changed")]),
        ([*ROWS[:3], changed(ROWS[3], ACTOR, 7), *ROWS[4:]], [(4, "changed")]),
        ([*ROWS[:3], changed(ROWS[3], ACTOR, "\ud800"), *ROWS[4:]], [(4, "changed")]),
        ([*ROWS[:3], changed(ROWS[3], -1, None)[:14], *ROWS[4:]], [(4, "changed"), (5, "changed")]),
        ([*ROWS[:3], *ROWS[4:]], [(5, "removed")]),
        ([*ROWS[:3], *ROWS[6:]], [(7, "removed")]),
        ([*ROWS, changed(ROWS[3], SEQ, 10)], [(10, "inserted")]),
        ([ROWS[0], *ROWS], [(1, "not in its place")]),
        ([*ROWS[:2], changed(ROWS[5], SEQ, 3), *ROWS[3:]], [(3, "changed"), (4, "changed")]),
        (ROWS[:7], [(None, "the records end with 7, 9 were written")]),
        ([], [(None, "the records end with 0, 9 were written")]),
    ],
)
def test_what_is_not_is_named(rows, wanted):
    assert walk_over(rows, WHOLE) == wanted


def test_a_chain_that_was_written_anew_is_not_where_the_root_says():
    other = chain(9)[:4]
    head = other[-1][-1]
    for n in range(5, 10):
        content = (*ROWS[n - 1][:ACTOR], "you", *ROWS[n - 1][ACTOR + 1 : -1])
        head = entry_hash(head, content)
        other.append((*content, head))
    assert walk_over(other, standing(9, head)) == []
    assert walk_over(other, standing(9, head), root(7)) == [
        (7, "another record 7 than the root says")
    ]


def test_roots_that_say_something_else():
    assert walk_over(ROWS[:5], standing(5, ROWS[4][-1]), root(9)) == [
        (None, "the records end with 5 where the root says 9")
    ]
    assert walk_over(ROWS, WHOLE, root(9, tenant="acme")) == [
        (None, "a root, but not of audit records")
    ]
    assert walk_over(ROWS, standing(9, ROWS[3][-1])) == [
        (9, "another last record than was written")
    ]


def test_what_was_deleted_must_be_signed():
    begun = {"begin": 3, "begin_hash": ROWS[2][-1].hex()}
    stored = msgspec.structs.replace(WHOLE, **begun)
    assert walk_over(ROWS[3:], stored, root(2), root(9, **begun)) == []
    assert walk_over(ROWS[3:], stored, root(9)) == [
        (None, "records were deleted, and no root says so")
    ]


def test_no_more_than_a_hundred_faults():
    rows = [changed(row, ACTOR, "you") for row in chain(150)]
    assert len(walk_over(rows, standing(150, rows[-1][-1]))) == MOST_FAULTS
