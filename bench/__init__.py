"""What the gateway costs, measured beside what it would cost without us: `make bench`.

    __main__.py   flags; the phases in order; what is printed and written
    plan.py       how long, how often, how many connections
    variants.py   the same gateway with parts taken out
    upstream.py   what stands in for the engine
    stack.py      the processes of one variant, and all of them together
    echo.py       the least that any ext_proc service in Python does
    load.py       the load generator: a process of its own, one run, JSON out
    generator.py  what is sent when; connection.py, answers.py: how
    sample.py     what one run of it measured
    measure.py    starts it
    phases.py     closed loop, open loop, streams, memory: who runs when
    runs.py       all runs, as they were made
    procfs.py     CPU and memory of a process
    stats.py      percentiles and medians
    results.py    runs -> rows
    goals.py      what we want to be true of the rows
    report.py     rows -> text, Markdown, JSON

Variants take turns within every round, so that a machine which slows down slows all of them down.
"""
