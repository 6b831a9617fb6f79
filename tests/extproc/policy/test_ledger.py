from extproc.policy.ledger import LedgerPolicy
from extproc.policy.load import load


def test_without_a_section_everything_is_kept_and_nobody_reads_all(tmp_path):
    (tmp_path / "a.yaml").write_text("tenants: [{name: acme}]")
    policy = load([tmp_path]).ledger
    assert policy == LedgerPolicy()
    assert policy.retention.default_days is None
    assert policy.readers_of_all == ()
