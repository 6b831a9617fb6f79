"""Break something under load, then compare what clients saw with what the ledger says.

    __main__.py   flags; the cases in order; what is printed and written
    cases/        the faults: what is done, and what clients may see of it
    run.py        one case: start, load, harm, drain, judge

    stand.py      a whole gateway, `headgate up` in a process of its own
    place.py      where its ledger lies: beside it, on a volume.py, in a server.py

    mix.py        what is asked: every kind of request, refusals and clients that leave
    answer.py     what a client saw of one request
    client.py     asks once and writes that down
    load.py       asks at a fixed rate, whatever the answers do

    books.py      what the ledger and the engines say
    excuse.py     what a fault may do to requests, and to which
    flaws.py      one answer against its row; sums.py: all of them against all that was counted
    verdict.py    both together: everything that is wrong, by request id
    report.py     verdicts -> text, Markdown, JSON

    count.py      `python -m faults.count`: a hundred thousand requests, and not a token astray

A new fault is one function and one line in `cases/__init__.py`.
"""
