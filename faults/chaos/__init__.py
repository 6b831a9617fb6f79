"""One gateway, engines that fail in every way, and what a client saw of each: `python -m faults.chaos`.

    __main__.py   runs all cases, prints the table, writes it into docs/chaos.md
    table.py      the cases in order, and their lines
    seen.py       what was seen, in words
    scene.py      the gateway and its engines; asking, and what the ledger says of it

    dying.py      engines that are killed, cut off or hang with a request in hand
    refusing.py   engines that say no, and what may be sent again
    fading.py     slow ones, looks that stop, half of the pool gone, all of it, and back

    sims.py       built-in engines as processes, to be killed and stopped
    double.py     an engine that hangs up, or keeps its metrics to itself, and counts what it was asked

`faults/` itself breaks the gateway's own parts under load; here engines break, one request at a time.
"""
