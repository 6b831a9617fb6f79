"""What a queue is worth under overload: `python -m bench.slo [--quick] [--markdown docs/slo.md]`.

A real `headgate up` with the built-in engine, and a concurrency limit that is asked for 1.5 times what it
has. The load is open: requests come at random times, whatever becomes of them, 40 % of them
interactive, and an interactive request is served well when its first byte comes within 2 s of when it
was due. Each variant of the policy meets the same arrivals, in turn within every round.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml

from bench.stats import median, percentile
from extproc.identity.keys import digest
from extproc.policy.load import load
from faults.stand import Stand, StandError, wait_for

SALT = "headgate-study"
PLACES = 10
TTFT_MS, ITL_MS, TOKENS = 100, 10, 16
"""250 ms for each request: forty a second with ten places."""
CAPACITY = PLACES * 1000 / (TTFT_MS + (TOKENS - 1) * ITL_MS)
OVERLOAD = 1.5
INTERACTIVE = 0.4
SLO_S = 2.0
PATIENT_S, SHORT_S = 4.0, 1.5
"""How long a request may wait. The shorter leaves time to be served within the objective."""
RETRIES = 2
"""As OpenAI's SDKs do, after what `Retry-After` says."""
POLL_S = 0.1
BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"


@dataclass(frozen=True, slots=True)
class Variant:
    """One policy, and clients that go with it."""

    title: str
    wait_s: float = 0.0
    weights: Mapping[str, int] = field(default_factory=dict[str, int])
    retries: int = 0


VARIANTS = (
    Variant("refused"),
    Variant("refused, and tries twice more", retries=RETRIES),
    Variant(f"queued, first in first out, for {SHORT_S:g} s", SHORT_S),
    Variant(f"queued, first in first out, for {PATIENT_S:g} s", PATIENT_S),
    Variant(
        f"queued by priority, 8 to 1, for {PATIENT_S:g} s",
        PATIENT_S,
        {"interactive": 8, "batch": 1},
    ),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long each part of a run takes, in seconds, and how many rounds there are."""

    rounds: int
    warm_s: float
    """Twice the load, all of what is more being batch, so that queues are as long as they get; not
    counted."""
    count_s: float


DEFAULT, QUICK = Plan(3, 4, 8), Plan(1, 0.5, 1.5)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request that is to come."""

    due_s: float
    kind: str
    counts: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of it. Times from when it was due."""

    kind: str
    status: int
    first_s: float = 0.0
    last_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One run of one variant."""

    within: float
    """Share of interactive requests whose first byte came in time."""
    p95_s: float
    """Of the first byte of those that were served."""
    batch: float
    """Share of batch requests that were served."""
    good: float
    """Answers a second: interactive ones in time, and batch ones at any time."""


def arrivals(plan: Plan, seed: int) -> list[Arrival]:
    draw = random.Random(seed)  # noqa: S311 - made up, not secret
    found: list[Arrival] = []
    at_s = 0.0
    while at_s < plan.warm_s + plan.count_s:
        warm = at_s < plan.warm_s
        at_s += draw.expovariate(CAPACITY * OVERLOAD * (2 if warm else 1))
        kind = "interactive" if draw.random() < INTERACTIVE / (2 if warm else 1) else "batch"
        found.append(Arrival(at_s, kind, counts=not warm))
    return found


def policy(variant: Variant) -> str:
    """Both kinds are keys of one tenant: without priorities nothing tells them apart."""
    limit = {"name": "places", "per": "model", "concurrent": PLACES, "wait_s": variant.wait_s}
    return yaml.safe_dump(
        {
            "salt": SALT,
            "tenants": [{"name": "acme"}],
            "keys": [
                {"id": kind, "digest": digest(SALT, key_of(kind)), "tenant": "acme"}
                for kind in ("interactive", "batch")
            ],
            "limits": [limit],
            "priorities": [
                {"name": name, "keys": [name], "weight": weight}
                for name, weight in variant.weights.items()
            ],
        }
    )


def key_of(kind: str) -> str:
    return f"sk-headgate-{kind}"


async def send(
    session: aiohttp.ClientSession, url: str, arrival: Arrival, begun_s: float, retries: int
) -> Answer:
    due_s = begun_s + arrival.due_s
    await asyncio.sleep(due_s - time.monotonic())
    body = {
        "model": "demo", "stream": True, "max_tokens": TOKENS,
        "messages": [{"role": "user", "content": "Tell me something."}],
        "x_sim": {"ttft_ms": TTFT_MS, "itl_ms": ITL_MS},
    }  # fmt: skip
    headers = {"authorization": f"Bearer {key_of(arrival.kind)}"}
    status = 0
    for turn in range(1 + retries):
        async with session.post(url, json=body, headers=headers) as answer:
            status, first_s = answer.status, 0.0
            async for _ in answer.content.iter_any():
                first_s = first_s or time.monotonic() - due_s
            if status == 200:
                return Answer(arrival.kind, status, first_s, time.monotonic() - due_s)
            pause_s = float(answer.headers.get("retry-after", 1))
        if turn < retries:
            await asyncio.sleep(pause_s)
    return Answer(arrival.kind, status)


async def run(url: str, variant: Variant, plan: Plan, seed: int) -> Row:
    """Play one run to its last answer."""
    coming = arrivals(plan, seed)
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=0)
    begun_s = time.monotonic() + 0.1
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        asked = [send(session, url, each, begun_s, variant.retries) for each in coming]
        answers = await asyncio.gather(*asked)
    counted = [a for a, each in zip(answers, coming, strict=True) if each.counts]
    return judge(counted, plan.count_s)


def judge(answers: Sequence[Answer], seconds: float) -> Row:
    interactive = [answer for answer in answers if answer.kind == "interactive"]
    batch = [answer for answer in answers if answer.kind == "batch"]
    served = sorted(answer.first_s for answer in interactive if answer.status == 200)
    within = sum(first_s <= SLO_S for first_s in served)
    done = sum(answer.status == 200 for answer in batch)
    return Row(
        within / max(1, len(interactive)),
        percentile(served, 0.95) if served else 0.0,
        done / max(1, len(batch)),
        (within + done) / seconds,
    )


def study(plan: Plan, say: "Say") -> list[list[Row]]:
    """All rounds of each variant."""
    found: list[list[Row]] = [[] for _ in VARIANTS]
    with tempfile.TemporaryDirectory(prefix="headgate-slo-") as root:
        directory = Path(root) / "policy"
        directory.mkdir()
        file = directory / "policy.yaml"
        file.write_text(policy(VARIANTS[0]), encoding="utf-8")
        env = {"HEADGATE_POLICY_POLL_S": str(POLL_S)}
        with Stand.running(Path(root) / "s", "--policy", str(directory), env=env) as stand:
            url = f"{stand.url}/v1/chat/completions"
            for number in range(plan.rounds):
                for variant, rows in zip(VARIANTS, found, strict=True):
                    swap(stand, file, policy(variant))
                    row = asyncio.run(run(url, variant, plan, number))
                    say(f"round {number + 1}, {variant.title}: {row.within:.0%} in time")
                    rows.append(row)
    return found


def swap(stand: Stand, file: Path, text: str) -> None:
    """Put another policy in force and wait until both workers serve it."""
    new = file.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.rename(file)
    version = load([file.parent, stand.layout.policy]).version
    served = f'headgate_policy_info{{policy="{version}"}} 2.0'
    wait_for(lambda: served in stand.metrics(), what="the policy")


def to_table(found: Sequence[Sequence[Row]]) -> str:
    """One line for each variant: medians over the rounds, and the range."""
    base = median([row.within for row in found[0]])
    titles = (
        *("who finds no place is", "interactive within 2 s", "against refusing"),
        *("p95 first byte", "batch served", "goodput/s"),
    )
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for variant, rows in zip(VARIANTS, found, strict=True):
        within = [row.within for row in rows]
        gain = median(within) / base - 1 if base else 0.0
        cells = (
            variant.title,
            f"{median(within):.0%} ({min(within):.0%} to {max(within):.0%})",
            f"{gain:+.0%}",
            f"{median([row.p95_s for row in rows]):.2f} s",
            f"{median([row.batch for row in rows]):.0%}",
            f"{median([row.good for row in rows]):.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def put_table(page: str, table: str, setting: str) -> str:
    """Replace what stands between the marks of a page; a page without them becomes the table."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        return f"{table}\n\n{setting}\n"
    return f"{head}{BEGIN}\n\n{table}\n\n{setting}\n\n{END}{tail}"


class Say:
    """Tells on stderr how far it is."""

    def __init__(self) -> None:
        self.begun_s = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"[{time.monotonic() - self.begun_s:4.0f} s] {text}", file=sys.stderr, flush=True)


class Flags(argparse.Namespace):
    """The flags with their types; the parser fills them in."""

    quick: bool
    markdown: Path | None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.slo", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a minute, to see that it works")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the table there")
    flags = parser.parse_args(arguments, namespace=Flags())
    plan, say = QUICK if flags.quick else DEFAULT, Say()
    try:
        found = study(plan, say)
    except (StandError, OSError, aiohttp.ClientError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    table = to_table(found)
    setting = (
        f"{plan.rounds} rounds of {plan.count_s:g} s on {os.cpu_count()} cores; "
        f"median and range of the rounds; {time.monotonic() - say.begun_s:.0f} s in all."
    )
    print(f"{table}\n\n{setting}")
    if flags.markdown:
        page = flags.markdown.read_text("utf-8") if flags.markdown.exists() else ""
        flags.markdown.write_text(put_table(page, table, setting), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
