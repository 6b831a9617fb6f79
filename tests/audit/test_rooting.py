from audit.tables import CHAIN_NAME
from ledger.roots import read_document
from tests.audit.stores import auditing, roots_of, verifier_of


def test_roots_say_where_the_chain_stands(where, tmp_path):
    with auditing(where, tmp_path) as audit:
        audit.write(1, 2, 3)
        audit.rooting.run()
        audit.rooting.run()
        audit.write(4)
        audit.rooting.run()
    first, second = roots_of(tmp_path)
    documents = [read_document(root.document) for root in (first, second)]
    assert [each.entries for each in documents] == [3, 4]
    assert documents[1].chains[0].tenant == CHAIN_NAME
    assert verifier_of(tmp_path).is_signed(second.document, second.signature, second.key_id)
