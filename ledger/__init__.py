"""From what was seen of a request to what it is charged.

In reading order:

sighting   what is seen of a request: it left, it runs, it ended
price      what a request costs, exactly
row        what one request was, and how sightings become that
witness    Envoy's JSON access log, a line at a time
journal    what workers write when they forward a request: the proof that it existed; room is what
           it takes on disk beforehand
tail       follows log and journal files from a stored offset, through rotation and truncation;
           finished tells which of them are of no further use
plan       what a batch of sightings changes
store      the port to the ledger, and what one commit writes
booking    from rows to entries that are never changed; chain hashes them, rollup adds them up
memory     a ledger in memory, the shortest of all
tables     the ledger in a database; sql writes it, with statements, sums, subjects and schema, over
           database, which is sqlite or postgres
settle     read, close, commit, count, and again; follow sets the pace, publish tells, duty is
           whatever is done beside it
roots      signed statements of where the chains stand, with the key in signing
verify     proof that nothing was changed: walk over the chains, compare the sums, raw reads
retention  which entries were kept long enough; retaining deletes them, with trim, what trimmed
           remembers of them, and before them the logfiles that tell of them; forget does so with
           names, archiving puts entries elsewhere first
erasure    forgetting a person; scrub does it in logs, traces tells where else the name is
backup     a copy of a ledger under load: snapshot is what it says of itself, logparts the log since
           the one before
restore    the way back; replay reads the logs on, to a moment if need be; drill measures it, under
           drill_load
question   who used how much of what, and when; steps are its hours, days and months
usage      the answers: totals asks the database, with where and spans; ranking makes rows of figures
report     answers as table, records, or files; charges are bills, and focus writes them as FOCUS has it
export     entries for a warehouse: parts of days, and the manifest of what is there
config     what the settle process is told to do beside settling
counters   the engines' own counts; looks and balance put them beside what is booked, lookbook
           keeps that, trail remembers it, reconcile compares, disagreement tells
forecast   what a day or a month usually costs; costs tells when one is above it
__main__   the settle process, put together

Nothing here imports the ext_proc service: both sides meet in the journal, the access log and
the words in them.
"""
