"""Names of people and organisations in English and Chinese texts, for `pii.detector` (docs/pii.md).

    app       what is asked over HTTP, and how much at once
    reader    a text in pieces, each read once by the models of its scripts, and remembered
    english   spaCy's small English model
    chinese   Baidu's LAC
    span      what all of them find

It runs in an environment of its own (requirements/names.lock): it takes 450 MB on disk.
"""
