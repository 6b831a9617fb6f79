"""What guards cost and what they catch: `python -m bench.safety [--quick] [--markdown docs/bench-safety.md]`.

The time to the first words of an answer is measured here: whole gateways with built-in engines, without guards, with
all of them, and with all but one, are asked in turn, one request at a time. The rest is measured by programs of its
own (`PARTS`), one after the other, and joined.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import aiohttp
import yaml

from bench.scanning import texts
from bench.slo import Say, put_table
from bench.stats import percentile
from extproc.cli.plan import DEMO_POLICY
from faults.stand import Stand, StandError

CLEAN, DENSE = "without any", "ten values in 10 kB"
SIZES_BYTES = (4_000, 64_000)
TTFT_MS, ITL_MS, TOKENS = 20, 5, 48
WARM = 5
"""Requests of each kind that do not count."""
KEY = {"env": "BENCH_SAFETY_KEY"}
ENV = {"BENCH_SAFETY_KEY": "bench-safety-0123456789"}
GUARDS = {
    "pii": {"key": KEY, "rules": [{"types": {"all": "mask"}}]},
    "outbound": {"rules": [{"types": ["email", "bank_card"], "action": "mask"}]},
    "firewall": [{"action": "tag", "canary": {"key": KEY}}],
    "moderation": {"rules": [{"name": "weapons", "words": ["pipe bomb", "nerve gas"]}]},
    "cache": {"rules": [{"max_temperature": 2}]},
    "audit": {"requests": {"tenants": ["acme"], "content": "masked"}},
}
POLICIES: Mapping[str, Mapping[str, object]] = {
    "plain": {},
    "all": GUARDS,
    "requests": {name: each for name, each in GUARDS.items() if name != "outbound"},
}
PARTS = {
    "Looking for personal data": ("bench.scanning",),
    "Personal data found": ("bench.pii",),
    "Putting values back": ("bench.restoring", "--chunks", "2000", "--rounds", "2"),
    "Injections": ("bench.injection",),
    "The semantic cache": ("bench.semantic",),
}
"""Titles, and what is run under them."""
PART_S = 120.0
"""Hang guard: the longest takes a quarter of it."""


class Way(NamedTuple):
    """One row of the table."""

    title: str
    policy: str
    prompt: str


WAYS = (
    Way("no guards", "plain", DENSE),
    Way("all guards, nothing to mask", "all", CLEAN),
    Way("all guards, ten values in 10 kB", "all", DENSE),
    Way("the same, answers not looked through for values", "requests", DENSE),
)


class Times(NamedTuple):
    """Milliseconds, each list in the order of requests."""

    event_ms: list[float]
    """To the first byte of the stream."""
    words_ms: list[float]
    """To the first words in it."""


Found = Mapping[tuple[int, Way], Times]


def prompt(kind: str, size: int, number: int) -> str:
    """Write a text of so many bytes that was not asked before: nothing of it is in a cache."""
    text = f"Question {number} of {size}. {texts()[kind]}"
    raw = (text * (size // len(text.encode()) + 1)).encode()[:size]
    return raw.decode(errors="ignore")


async def ask(session: aiohttp.ClientSession, url: str, text: str) -> tuple[float, float]:
    """Return the milliseconds to the first byte and to the first words. Raises: StandError."""
    body = {
        "model": "demo", "stream": True, "max_tokens": TOKENS,
        "messages": [{"role": "user", "content": text}],
        "x_sim": {"ttft_ms": TTFT_MS, "itl_ms": ITL_MS}, "ignore_eos": True,
    }  # fmt: skip
    begun_s, first_s, words_s = time.perf_counter(), 0.0, 0.0
    async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
        if answer.status != 200:
            raise StandError(f"{answer.status}: {await answer.text()}")
        async for line in answer.content:
            now_s = time.perf_counter() - begun_s
            first_s = first_s or now_s
            if not words_s and b'"content":"' in line and b'"content":""' not in line:
                words_s = now_s
    return first_s * 1e3, words_s * 1e3


async def compare(urls: Mapping[str, str], rounds: int) -> Found:
    """Ask for each size in each way, in turn; `urls` by policy. Raises: StandError."""
    found = {(size, way): Times([], []) for size in SIZES_BYTES for way in WAYS}
    headers = {"authorization": "Bearer sk-headgate-acme"}
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        for number in range(-WARM, rounds):
            for (size, way), times in found.items():
                text = prompt(way.prompt, size, number)
                event_ms, words_ms = await ask(session, urls[way.policy], text)
                if number >= 0:
                    times.event_ms.append(event_ms)
                    times.words_ms.append(words_ms)
    return found


def measure(rounds: int) -> Found:
    """Start all gateways, and compare them. Raises: StandError."""
    with tempfile.TemporaryDirectory(prefix="headgate-safety-") as root, ExitStack() as stack:
        urls: dict[str, str] = {}
        for name, sections in POLICIES.items():
            directory = Path(root) / name / "policy"
            directory.mkdir(parents=True)
            (directory / "guards.yaml").write_text(yaml.safe_dump(dict(sections)), encoding="utf-8")
            for page in DEMO_POLICY.glob("*.yaml"):
                (directory / page.name).write_bytes(page.read_bytes())
            flags = ("--policy", str(directory), "--workers", "1", "--no-sidecars")
            running = Stand.running(Path(root) / name / "s", *flags, env=ENV)
            urls[name] = stack.enter_context(running).url
        return asyncio.run(compare(urls, rounds))


def to_table(found: Found) -> str:
    """One line for each size and way; what is added is against no guards, percentile by percentile."""
    titles = (
        *("prompt", "", "first byte p50", "p95", "added p50", "added p95", "ratio p50"),
        *("first words p50", "so late, in tokens"),
    )
    lines = [f"| {' | '.join(titles)} |", "|---|---|" + "---:|" * (len(titles) - 2)]
    for (size, way), times in found.items():
        p50, p95 = ends(times.event_ms)
        base50, base95 = ends(found[size, WAYS[0]].event_ms)
        words50, _ = ends(times.words_ms)
        added = [f"{p50 - base50:+.1f} ms", f"{p95 - base95:+.1f} ms", f"{p50 / base50:.2f}"]
        cells = (
            *(f"{size // 1000} kB", way.title, f"{p50:.1f} ms", f"{p95:.1f} ms"),
            *(added if way is not WAYS[0] else ["", "", ""]),
            *(f"{words50:.1f} ms", f"{(words50 - p50) / ITL_MS:.0f}"),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ends(times: Sequence[float]) -> tuple[float, float]:
    """The median, and what 95 of a hundred do not exceed."""
    ordered = sorted(times)
    return percentile(ordered, 0.5), percentile(ordered, 0.95)


def run_part(words: Sequence[str]) -> str:
    """Run one of the others; what it says, fit for a page. Raises: CalledProcessError, TimeoutExpired."""
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-m", *words], capture_output=True, text=True, check=True, timeout=PART_S
    )
    return to_page(done.stdout.strip())


def to_page(said: str) -> str:
    """Tables stand alone, between empty lines; what has none stays as it was written."""
    if "|---" not in said:
        return f"```text\n{said}\n```"
    return re.sub(r"^([^|\n].*)\n\|", r"\1\n\n|", said, flags=re.MULTILINE)


class Flags(argparse.Namespace):
    """The flags with their types; the parser fills them in."""

    quick: bool
    markdown: Path | None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.safety", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few requests, and none of the others")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables there")
    flags = parser.parse_args(arguments, namespace=Flags())
    say, rounds = Say(), 5 if flags.quick else 50
    parts = {} if flags.quick else PARTS
    try:
        say("the first words of answers")
        said = [f"## Until the first words\n\n{to_table(measure(rounds))}"]
        for title, words in parts.items():
            say(title)
            said.append(f"## {title}\n\n`python -m {' '.join(words)}`\n\n{run_part(words)}")
    except (StandError, OSError, aiohttp.ClientError, subprocess.SubprocessError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    tables = "\n\n".join(said)
    setting = (
        f"{rounds} requests of each kind. {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f} over "
        f"the last five minutes; {time.monotonic() - say.begun_s:.0f} s in all."
    )
    print(f"{tables}\n\n{setting}")
    if flags.markdown:
        page = flags.markdown.read_text("utf-8") if flags.markdown.exists() else ""
        flags.markdown.write_text(put_table(page, tables, setting), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
