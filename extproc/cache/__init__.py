"""Answers that are given again: what may be kept, under which key, in which form it is served.

In the order of a request:

    rules.py       what a policy says, compiled
    eligible.py    whose answer may be kept, and what a client may say about it
    key.py         what must be alike for two requests to have one answer
    flights.py     equal requests at the same time: one goes, the others wait for it
    fill.py        collects an answer as it passes; keeper.py reads and keeps it
    answer.py      the part of an answer that is kept, read from JSON; streamed.py from a stream
    written.py     a kept answer in the words of its API, as JSON or as a stream
    base.py        the port that stores implement

and for questions that only sound alike:

    turn.py        the one text of a request that may differ by its wording
    embedding.py   texts as vectors, by an embedded model or by engines of ours
    semantic.py    finds what sounds alike, wherever questions are kept
    questions.py   the port of where they are kept: memory (numpy) or Milvus, loaded where a policy asks
    nearest.py     exact search among vectors; graph.py for many (usearch)
    guard.py       whether two that sound alike ask the same; english.py, chinese.py, words.py
"""
