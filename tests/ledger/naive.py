"""Usage by the plainest of means, to compare with: loops over rows in force."""

import math
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ledger.price import cost
from ledger.row import Row
from ledger.sighting import Usage

QUARTER = timedelta(minutes=15)
BEGIN = datetime(2026, 10, 23, 17, 7, 11, 123_000, tzinfo=UTC)
"""Two days before clocks go back in Berlin."""
SPAN = timedelta(days=4)
ZONES = [
    UTC,
    *(
        ZoneInfo(name)
        for name in (
            "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Chatham",
            "Australia/Lord_Howe",
        )
    ),
]  # fmt: skip
PRICES = [None, "0.15/0.075/0.6", "3/0.3/15", "10000//10000"]
COUNTS = ("requests", "denied", "unpriced", "unsettled", "estimated", "cut")
AMOUNTS = (
    "prompt_tokens", "completion_tokens", "cached_tokens", "uncached_pusd", "cached_pusd",
    "completion_pusd", "gpu_us", "energy_mj", "own_pusd",
)  # fmt: skip


def ms(time):
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def time_of(row):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=row.start_ms)


def make_rows(count, seed=7):
    """Rows of every kind, at any moment, some at the very edge of a quarter."""
    draw = random.Random(seed)
    return [make_row(f"s{n}", draw) for n in range(count)]


def make_row(key, draw):
    start = BEGIN + SPAN * draw.random()
    if draw.random() < 0.2:
        start = start.replace(minute=draw.choice((0, 15, 30, 45)), second=0, microsecond=0)
    known = draw.random() < 0.95
    price = draw.choice(PRICES)
    used = Usage()
    if draw.random() < 0.9:
        prompt = draw.randrange(10_000_000)
        used = Usage(prompt, draw.randrange(1000), draw.choice((None, 0, prompt // 3)))
    priced = cost(price, used)
    denied = draw.random() < 0.1
    own = draw.random() < 0.5
    return Row(
        settle_key=key,
        start_ms=ms(start),
        tenant=draw.choice(("acme", "globex")) if known else None,
        project=draw.choice(("p", "q", None)),
        user=draw.choice(("alice", "bob", "Bob", None)) if known else None,
        groups=draw.choice((None, "a", "A,ab", "a,b,c")),
        model=draw.choice(("tiny", "large")),
        endpoint=draw.choice(("10.0.0.1:8000", "10.0.0.2:8000", None)),
        status=draw.choice((None, 0, 200, 200, 200, 201, 429, 503)),
        deny_reason="rate_limited" if denied else None,
        price=price,
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        cached_tokens=used.cached_tokens,
        uncached_pusd=priced.uncached_pusd,
        cached_pusd=priced.cached_pusd,
        completion_pusd=priced.completion_pusd,
        gpu_us=draw.randrange(10**6) if own else None,
        energy_mj=draw.randrange(10**6) if own else None,
        own_pusd=draw.randrange(10**18) if own else None,
        ttft_us=draw.choice((None, draw.randrange(30), draw.randrange(5_000_000))),
        unsettled=draw.random() < 0.05,
        estimated=draw.random() < 0.05,
        cut=draw.random() < 0.05,
    )


def counts(row, question, since, until):
    if (since and time_of(row) < since) or (until and time_of(row) >= until):
        return False
    return all(holds(row, condition) for condition in question.where)


def holds(row, condition):
    if condition.dimension == "group":
        found = (row.groups or "").split(",")
        one_of = any(value in found for value in condition.values if value is not None)
        one_of = one_of or (None in condition.values and row.groups is None)
    else:
        value = getattr(row, condition.dimension)
        one_of = (None if value is None else str(value)) in condition.values
    return one_of != condition.negated


def label(step, time):
    match step:
        case "hour":
            text = time.replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes")
            return text.replace("+00:00", "Z")
        case "day":
            return time.strftime("%Y-%m-%d")
        case "week":
            return time.strftime("%G-W%V")
        case "month":
            return time.strftime("%Y-%m")


def labels(step, since, until, zone):
    """Names of all steps in a period, in order: asked of every quarter of an hour."""
    time = since - (since - datetime(1970, 1, 1, tzinfo=UTC)) % QUARTER
    found = {}
    while time < until:
        found[label(step, time.astimezone(zone))] = None
        time += QUARTER
    return list(found)


def groups_of(row, question):
    """Combinations of values that a row counts for, without time."""
    combinations = [()]
    for name in question.dimensions:
        if name == "group":
            values = (row.groups or "").split(",")
            combinations = [(*each, value or None) for each in combinations for value in values]
        else:
            value = getattr(row, name)
            combinations = [(*c, None if value is None else str(value)) for c in combinations]
    return combinations


def figures(rows):
    """Counts and amounts, and TTFT by the nearest rank: exact."""
    sums = {name: sum(getattr(row, name) or 0 for row in rows) for name in AMOUNTS}
    sums["requests"] = len(rows)
    sums["denied"] = sum(row.deny_reason is not None for row in rows)
    money = ("uncached_pusd", "cached_pusd", "completion_pusd")
    sums["unpriced"] = sum(None in [getattr(row, name) for name in money] for row in rows)
    sums |= {name: sum(getattr(row, name) for row in rows) for name in COUNTS[3:]}
    ok = (row for row in rows if row.status is not None and 200 <= row.status < 300)
    times = sorted(row.ttft_us for row in ok if row.ttft_us is not None)
    for name, share in (("ttft_p50_us", 0.50), ("ttft_p95_us", 0.95)):
        sums[name] = times[math.ceil(share * len(times)) - 1] if times else None
    return sums


def cells(rows, question, since, until):
    """{(name of step, group): rows}."""
    found = defaultdict(list)
    for row in rows:
        if counts(row, question, since, until):
            step = question.step and label(question.step, time_of(row).astimezone(question.zone))
            for group in groups_of(row, question):
                found[step, group].append(row)
    return dict(found)
