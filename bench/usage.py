"""How long `headgate usage` takes: `python -m bench.usage [--entries 1000000] [--ledger PATH]`.

Makes a ledger of a month, unless there is one at PATH, and asks it by every dimension. Cold is the
first question of a new connection after the kernel forgot the file, warm the third.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from ledger.database import Database, open_database
from ledger.price import cost
from ledger.question import DIMENSIONS, STEPS, Condition, Question
from ledger.row import Row
from ledger.sighting import Usage
from ledger.sql import open_ledger
from ledger.store import Change
from ledger.tables import ENTRY, USAGE_KEY, USAGE_QUARTER
from ledger.usage import ask

BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
DAYS = 30
AT_ONCE = 5_000
CORRECTED = 1000
"""One row in so many is corrected later."""
MODELS = {
    "large": "3/0.3/15",
    "medium": "0.6/0.06/2.4",
    "small": "0.15/0.075/0.6",
    "tiny": "0.02//0.04",
    "code": "1.2/0.12/6",
    "embed": "0.01//0",
}


def main() -> None:
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="usage-") as directory:
        path = options.ledger or Path(directory) / "ledger.sqlite"
        if not path.exists():
            begin = time.perf_counter()
            make(path, options.entries)
            print(
                f"made in {time.perf_counter() - begin:.0f} s: {path.stat().st_size / 1e6:.0f} MB"
            )
        report(path)


def make(path: Path, count: int) -> None:
    ledger = open_ledger(path)
    some: list[Row] = []
    for row in rows(count, random.Random(1)):  # noqa: S311 - made up, not secret
        some.append(row)
        if len(some) == AT_ONCE:
            ledger.commit(Change(rows=some, booked_ms=row.start_ms + 1000))
            again = some[::CORRECTED]
            before = ledger.rows([each.settle_key for each in again])
            ledger.commit(Change(rows=again, replaced=before, booked_ms=row.start_ms + 2000))
            some = []
    ledger.commit(Change(rows=some))
    ledger.close()


def rows(count: int, draw: random.Random) -> Iterator[Row]:
    """Requests of a month: 1000 users of 50 tenants, few of them busy, six models on twelve endpoints."""
    start_ms = int(BEGIN.timestamp() * 1000)
    pause_ms = DAYS * 86_400_000 / count
    for number in range(count):
        user = min(int(draw.paretovariate(0.7)), 1000)
        tenant = user % 50
        model = draw.choice(list(MODELS))
        denied = draw.random() < 0.02
        used = Usage(0, 0, 0)
        if not denied:
            prompt = int(draw.lognormvariate(6.5, 1))
            used = Usage(prompt, int(draw.expovariate(1 / 200)), draw.randrange(prompt + 1))
        priced = cost(MODELS[model], used)
        yield Row(
            settle_key=f"{number:08x}{draw.getrandbits(96):024x}",
            start_ms=start_ms + int(number * pause_ms),
            request_id=f"{draw.getrandbits(128):032x}",
            trace_id=f"{draw.getrandbits(128):032x}",
            operation="embeddings" if model == "embed" else "chat",
            tenant=f"tenant-{tenant}",
            project=f"project-{user % 150}",
            user=f"user-{user}",
            groups=draw.choice(("staff", "staff,research", None)),
            region=("eu", "us")[tenant % 2],
            key_id=f"key-{user % 300}",
            model=model,
            track="stable" if draw.random() < 0.95 else "canary",
            version="1",
            pool=f"pool-{model}",
            cluster=("fra", "iad")[tenant % 2],
            gpu="H100",
            endpoint=None if denied else f"10.0.{tenant % 2}.{draw.randrange(2) + 8}:{len(model)}",
            n=1,
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            cached_tokens=used.cached_tokens,
            price=MODELS[model],
            uncached_pusd=priced.uncached_pusd,
            cached_pusd=priced.cached_pusd,
            completion_pusd=priced.completion_pusd,
            gpu_us=used.completion_tokens * 900 if used.completion_tokens else None,
            energy_mj=None,
            own_pusd=None,
            status=429 if denied else 200,
            deny_reason="rate_limited" if denied else None,
            ttft_us=None if denied else int(draw.lognormvariate(12, 0.7)),
            latency_us=int(draw.lognormvariate(14, 1)),
            attempts=1,
            policy=f"{number * 4 // count:016x}",
        )


def report(path: Path) -> None:
    end = BEGIN + timedelta(days=DAYS)
    since, until = end - timedelta(days=7) + timedelta(minutes=3), end - timedelta(minutes=7)
    questions = {
        "tenant,model": Question(),
        **{name: Question(by=(name,)) for name in (*DIMENSIONS, *STEPS)},
        "tenant,model,day": Question(by=("tenant", "model", "day")),
        "user,key_id,model,endpoint": Question(by=("user", "key_id", "model", "endpoint")),
        "tenant,model of 7 days": Question(since=since, until=until),
        "model,day of one tenant": Question(
            by=("model", "day"), where=(Condition("tenant", ("tenant-1",)),)
        ),
    }
    describe(path)
    print("| by | rows | cold (s) | warm (s) | CPU (s) |\n|---|---:|---:|---:|---:|")
    for name, question in questions.items():
        forget(path)
        database = open_database(path)
        runs = [measure(database, question) for _ in range(3)]
        database.close()
        rows, warm, cpu = runs[-1]
        print(f"| {name} | {rows:,} | {runs[0][1]:.2f} | {warm:.2f} | {cpu:.2f} |", flush=True)


def describe(path: Path) -> None:
    database = open_database(path)
    with database.transaction() as connection:
        entries, keys, quarters = (
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (ENTRY, USAGE_KEY, USAGE_QUARTER)
        )
    database.close()
    print(f"{entries:,} entries, {keys:,} combinations, {quarters:,} sums\n")


def forget(path: Path) -> None:
    """Have the kernel drop what it holds of the file."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def measure(database: Database, question: Question) -> tuple[int, float, float]:
    """Ask once: rows of the answer, seconds, seconds of CPU."""
    begin, cpu = time.perf_counter(), time.process_time()
    with database.transaction() as connection:
        answer = ask(connection, question)
    return len(answer.rows), time.perf_counter() - begin, time.process_time() - cpu


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.usage", description="Time of reports.")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--ledger", type=Path, help="made if it is not there, and kept")
    return parser


if __name__ == "__main__":
    main()
