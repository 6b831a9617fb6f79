"""Guards against abuse: who is refused too often is banned for a while. The map, in reading order.

    base.py       what a ban is, how bans grow, and the port `Bans`: read this first
    subjects.py   whom a ban is for: an address, a key, a user
    rules.py      what counts: refusals, and long prompts
    tally.py      counting, in batches, by the counters that limits use
    view.py       what one worker knows of bans: a look-up for each request
    guard.py      puts them together, twice a second
    notice.py     tells somebody

Bans are kept in `stores/bans_memory.py` or, for several workers, in `stores/bans_redis.py`. The filters
that ask are `filters/banned.py` and `filters/long_prompts.py`.
"""
