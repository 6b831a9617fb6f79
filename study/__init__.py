"""The routing study: every picker against every kind of traffic, in the simulator's virtual time.

    __main__.py    `python -m study`: flags, runs in parallel, what is kept, the report
    plan.py        which runs there are; cases.py: traffic, its pool and how long

    draws.py       chance that repeats; threads.py: conversations as token counts and block hashes
    workloads/     the kinds of traffic, and where their figures come from
    pools.py       the engines: `engines.sim`'s physics, in FP8

    world.py       one run: events in virtual time, from a request to its last token
    gateway.py     one replica: looks, learned rates, own counts, prefixes, and the product's own picker
    sights.py      how much of this it gets to see
    run.py         from what is asked to figures; measure.py: what the figures are

    capacity.py    what 100 % is; tune.py: settings for every picker; tuned.json: what both found
    store.py       results by what they depend on; results.py, stats.py: means and intervals
    judge.py       the goals; tables.py, plots.py, report.py: docs/routing-study.md

Rules. Pickers see what vLLM exports, five times a second, and what they did themselves. The physics is
`engines.sim`'s, not the pickers' formula, and was there before them. Whatever can be set is set on traces
of other seeds, with the same effort for all. What misses a goal is printed like the rest.
"""
