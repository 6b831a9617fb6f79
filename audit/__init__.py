"""Who did what: an append-only record, chained by hashes, that an auditor can verify.

In reading order:

record     one thing that happened, and the port through which whatever happens is told
journal    records on disk, one file for each process that writes any; memory is for tests
reading    journal files, read on from where the store has them
tables     the store in a database; store makes the tables and the triggers that guard them
collect    from journals to the store, each record exactly once: a duty of the settle process
rooting    signed statements of where the chain stands
verify     proof that nothing was changed, by a walk over the chain
search     finding records
trim       deleting what was kept long enough; the rest stays provable
manifest   what an export has written; export writes it, prove verifies it without the store

How entries are hashed, signed and read raw is the ledger's, and so are its database connections.
"""
