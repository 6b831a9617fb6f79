"""The walk alone, over entries in memory: which fault is named, and where."""

import msgspec
import pytest

from ledger.memory import MemoryLedger
from ledger.roots import Document, Root, Standing, document_hash
from ledger.signing import PUBLIC_NAME, load_signer, load_verifier
from ledger.store import Change
from ledger.walk import Fault, Roots, Walk, in_order
from tests.ledger import books


@pytest.fixture(scope="module")
def ledger():
    ledger = MemoryLedger()
    for n in range(6):
        tenant = ("acme", "globex")[n % 2]
        ledger.commit(Change(rows=[books.row(f"s{n}", tenant=tenant)]))
    return ledger


def standings(entries):
    last = {books.named(e)["tenant"]: books.named(e) for e in entries}
    return tuple(
        Standing(tenant, e["chain_seq"], e["hash"].hex(), 0, "", 0) for tenant, e in last.items()
    )


def document(entries, nth=1):
    return Document(nth, 0, "k", "", len(entries), standings(entries))


def walked(entries, stored, *documents):
    walk = Walk(stored)
    left = list(documents)
    for entry in entries:
        while left and entry[0] > left[0].entries:
            walk.root(left.pop(0))
        walk.entry(entry)
    for each in left:
        walk.root(each)
    walk.end()
    return walk.faults


def changed(entry, **columns):
    return tuple((books.named(entry) | columns).values())


def test_what_is_as_it_was_has_no_fault(ledger):
    entries = ledger.entries()
    documents = [document(entries[:n], n) for n in (1, 4, 6)]
    assert walked(entries, standings(entries), *documents) == {}
    assert walked([], ()) == {}


def spoil(entries, how):
    if how == "changed":
        entries[2] = changed(entries[2], prompt_tokens=8)
    elif how == "removed":
        del entries[2]
    elif how == "swapped":
        entries[2], entries[4] = (
            changed(entries[4], seq=3, chain_seq=2),
            changed(entries[2], seq=5, chain_seq=3),
        )
    elif how == "inserted":
        entries.insert(3, changed(entries[2], seq=3, settle_key="new"))
    elif how == "retyped":
        entries[2] = changed(entries[2], model=b"tiny")
    elif how == "hash of another type":
        entries[2] = changed(entries[2], hash="x")
    return entries


@pytest.mark.parametrize(
    ("how", "seq", "what"),
    [
        ("changed", 3, "hash does not follow"),
        ("removed", 5, "chain_seq is 3, 2 should follow"),
        ("swapped", 3, "hash does not follow"),
        ("inserted", 3, "chain_seq is 2, 3 should follow"),
        ("retyped", 3, "another type"),
        ("hash of another type", 3, "another type"),
    ],
)
def test_the_first_bad_entry_is_named_and_other_chains_are_not_blamed(ledger, how, seq, what):
    entries = ledger.entries()
    faults = walked(spoil(list(entries), how), standings(entries), document(entries))
    assert set(faults) == {"acme"}
    assert faults["acme"].seq == seq
    assert what in faults["acme"].what
    assert faults["acme"].settle_key


def test_a_tenant_that_was_changed_is_found_in_both_chains(ledger):
    entries = ledger.entries()
    entries[2] = changed(entries[2], tenant="globex")
    assert set(walked(entries, standings(ledger.entries()))) == {"acme", "globex"}


def test_entries_cut_off_are_missed_by_the_table_and_by_roots(ledger):
    entries = ledger.entries()
    assert walked(entries[:4], standings(entries)) == {
        chain: Fault("2 entries where the table chain says 3", chain)
        for chain in ("acme", "globex")
    }
    assert walked(entries[:4], standings(entries[:4]), document(entries)) == {
        chain: Fault("2 entries where the root says 3", chain, root=1)
        for chain in ("acme", "globex")
    }


def test_a_chain_that_is_gone_is_missed_by_the_root(ledger):
    entries = [e for e in ledger.entries() if books.named(e)["tenant"] == "acme"]
    faults = walked(entries, standings(entries), document(ledger.entries()))
    assert faults == {"globex": Fault("0 entries where the root says 3", "globex", root=1)}


def test_a_chain_that_nobody_knows_is_not_believed(ledger):
    entries = ledger.entries()
    acme = [e for e in entries if books.named(e)["tenant"] == "acme"]
    faults = walked(entries, standings(acme), Document(1, 0, "k", "", 6, standings(acme)))
    assert faults == {"globex": Fault("entries that the root does not know", "globex", root=1)}
    assert walked(entries, standings(acme)) == {
        "globex": Fault("entries, and no row in the table chain", "globex")
    }


def test_a_chain_written_anew_is_not_the_signed_one(ledger):
    other = MemoryLedger()
    for n in range(6):
        row = books.row(f"s{n}", tenant=("acme", "globex")[n % 2])
        row = msgspec.structs.replace(row, prompt_tokens=0) if n == 2 else row
        other.commit(Change(rows=[row]))
    entries = other.entries()
    faults = walked(entries, standings(entries), document(ledger.entries()))
    assert faults["acme"] == Fault("another entry 3 than the root says", "acme", root=1)


def test_another_last_entry_than_the_table_says(ledger):
    entries = ledger.entries()
    stored = [msgspec.structs.replace(s, head="00") for s in standings(entries)]
    assert walked(entries, stored)["acme"].what == "another last entry than the table chain says"


@pytest.fixture
def signed(tmp_path):
    """Make a chain of signed roots, of 2, 4 and 6 entries, and a walker over them."""
    signer = load_signer(tmp_path)
    previous, roots = "", []
    for nth in (1, 2, 3):
        said = Document(nth, nth * 10, signer.key_id, previous, 2 * nth, ())
        text = msgspec.json.encode(said).decode()
        roots.append(Root(nth, nth * 10, text, signer.sign(text), signer.key_id))
        previous = document_hash(text)
    return roots, Roots(load_verifier(tmp_path / PUBLIC_NAME))


def met(entries, roots, walker):
    """Tell entries by what they are, documents by R and their number, faults by F and that."""
    stored = map(msgspec.structs.astuple, roots)
    for each in in_order(((seq, "more") for seq in entries), stored, walker):
        match each:
            case Document():
                yield f"R{each.id}"
            case Fault():
                yield f"F{each.root}"
            case _:
                yield each[0]


@pytest.mark.parametrize(
    ("entries", "order"),
    [
        ([], ["R1", "R2", "R3"]),
        ([1, 2, 3, 4, 5, 6], [1, 2, "R1", 3, 4, "R2", 5, 6, "R3"]),
        ([2, 3, 7, 8], [2, "R1", 3, "R2", "R3", 7, 8]),
        ([7], ["R1", "R2", "R3", 7]),
        ([None, 1, "x", 3], [None, 1, "x", "R1", 3, "R2", "R3"]),
    ],
    ids=["none", "all", "gaps", "later", "no numbers"],
)
def test_a_root_comes_behind_the_entries_that_it_covers(signed, entries, order):
    assert list(met(entries, *signed)) == order


def test_a_root_that_cannot_be_believed_is_only_a_fault(signed):
    roots, walker = signed
    roots[1] = msgspec.structs.replace(roots[1], signature="no bytes", at_ms=None)
    assert list(met([1, 2, 3, 5, 7], roots, walker)) == [1, 2, "R1", "F2", 3, 5, "R3", 7]


def faults_of(walker, roots):
    return [fault.what for _, fault in map(walker.follow, roots) if fault]


def test_roots_follow_each_other(signed):
    roots, walker = signed
    assert faults_of(walker, roots) == []
    assert list(map(walker.compare, roots)) == [None] * 3


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"at_ms": 21}, "its columns differ from what was signed"),
        ({"key_id": "other"}, "not signed by a key we know"),
        ({"signature": b"x"}, "not signed by its key"),
        ({"document": "{}"}, "no root document"),
        ({"id": 5}, "root 2 is missing"),
    ],
)
def test_a_root_that_was_changed(signed, columns, what):
    roots, walker = signed
    roots[1] = msgspec.structs.replace(roots[1], **columns)
    assert what in faults_of(walker, roots)[0]


def test_a_root_that_is_gone(signed):
    roots, walker = signed
    assert faults_of(walker, roots[1:]) == ["root 1 is missing", "root 2 is missing"]
    assert walker.compare(roots[2]) == Fault("kept outside, and missing in the ledger", root=3)
    assert walker.compare(roots[0]) == Fault("not the one that was kept outside", root=1)


def test_a_root_signed_again_does_not_follow(signed, tmp_path):
    roots, walker = signed
    signer = load_signer(tmp_path)
    said = Document(1, 10, signer.key_id, "", 99, ())
    text = msgspec.json.encode(said).decode()
    forged = Root(1, 10, text, signer.sign(text), signer.key_id)
    assert faults_of(walker, [forged, *roots[1:]]) == ["it does not follow from the root before"]
    assert walker.compare(roots[0]) == Fault("not the one that was kept outside", root=1)


def test_somebody_elses_root_proves_nothing(signed):
    roots, walker = signed
    faults_of(walker, roots)
    stranger = msgspec.structs.replace(roots[2], id=4, key_id="other")
    assert "not signed by a key we know" in walker.compare(stranger).what
