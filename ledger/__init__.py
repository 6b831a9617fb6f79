"""From what was seen of a request to what it is charged.

In reading order:

sighting   what is seen of a request: it left, it runs, it ended
row        one line of the ledger, and how sightings become one
witness    Envoy's JSON access log, a line at a time
journal    what workers write when they forward a request: the proof that it existed
tail       follows log and journal files from a stored offset, through rotation and truncation
store      the port to the ledger, and what one commit writes
sqlite     the ledger in SQLite
settle     read, close, commit, count; the life of the settle process
usage      questions to the ledger; report renders the answers
__main__   the settle process, put together

Nothing here imports the ext_proc service: both sides meet in the journal, the access log and
the words in them.
"""
