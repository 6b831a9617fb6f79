"""Who did what: an append-only record, chained by hashes, that an auditor can verify."""
