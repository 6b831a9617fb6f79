"""Limits on tokens, requests, money and concurrency. The map, in reading order.

    base.py        the vocabulary, and the port `Counters`: read this first
    rate.py        so many for each second, counted exactly
    bucket.py      token bucket and leaky bucket
    window.py      sliding window
    semaphore.py   so many at once
    budget.py      so much in each day, week or month; periods.py is the calendar
    rules.py       a limit made ready for counting
    answers.py     from numbers to what is answered
    queue.py       the line before a limit: whose turn it is
    waiting.py     those who wait in one worker; patience.py is how long they may
    breaker.py     when to leave alone what does not answer; degraded.py what is said then, and
                   backlog.py what is sent afterwards
    slices.py      more of a reservation, as a watched answer goes on

The algorithms are pure: state and moment in, state and judgement out. Who runs them, in `stores/`:

    counters_memory.py     this process; offers_memory.py is what limits offer before anything is taken
    counters_redis.py      Redis, where their twins in Lua run; redis_line.py is the connection
    lines_memory.py        lines of this process; counters_lines.lua is their twin, redis_ear.py hears it
    counters_sharded.py    several Redis, exact no more
    counters_fallback.py   what happens while Redis cannot be reached

One suite of tests holds the twins to the same answers.
"""
