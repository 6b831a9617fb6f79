"""`python -m engines.sim calibrate`: which physics a running vLLM has.

It is asked for prompts of several lengths alone, then for several answers at once; its own histograms
say how long the prefills and the steps took, so the way there and back does not count. About 200
requests, a minute on CPU. The fit knows no `weights_s`: what a step costs however little it does is
`step_s`, whoever it belongs to.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engines.exposition import UnreadableError
from engines.load import Load, Total
from engines.sim.fit import fit, predict
from engines.sim.measure import Ask, Engine, MeasureError
from engines.sim.profile import Profile

PREFILL_TOKENS = (8, 64, 256, 512, 1024, 2048, 3500)
REPEATS = 4
DECODES = ((1, 16), (4, 16), (8, 16), (16, 16), (32, 16), (1, 2000), (4, 2000), (8, 2000))
"""How many at once, and how long their prompts are."""
DECODE_TOKENS = 48
_IDS = range(300, 1000)
"""Ordinary tokens, of every vocabulary that there is."""

Row = tuple[float, float, float, float, float]
"""What one measured time consists of: steps, tokens, sequences, context tokens, pairs."""


class Point(msgspec.Struct, frozen=True):
    """One measurement."""

    what: str
    row: Row
    seen_s: float


class Flags(argparse.Namespace):
    url: str
    model: str
    output: str
    name: str
    max_num_seqs: int
    max_num_batched_tokens: int


def prefill_row(tokens: int, batched: int) -> Row:
    """A prompt alone takes as many steps as it has pieces."""
    return (-(-tokens // batched), tokens, 0, 0, tokens * tokens / 2)


def decode_row(streams: int, context: float) -> Row:
    """One step of answers alone."""
    return (1, streams, streams, streams * context, 0)


def profile_of(points: Sequence[Point], base: Profile) -> Profile:
    """The physics that explains all points best."""
    found = fit([point.row for point in points], [point.seen_s for point in points])
    step_s, token_s, sequence_s, context_s, pair_s = found
    return msgspec.structs.replace(
        base,
        step_s=step_s,
        weights_s=0.0,
        token_s=token_s,
        sequence_s=sequence_s,
        context_s=context_s,
        pair_s=pair_s,
    )


def report(points: Sequence[Point], profile: Profile) -> str:
    """What was seen and what the profile says, one line per point, and the mean error."""
    found = (
        profile.step_s,
        profile.token_s,
        profile.sequence_s,
        profile.context_s,
        profile.pair_s,
    )
    lines, errors = list[str](), list[float]()
    for point in points:
        fitted_s = predict(point.row, found)
        errors.append(abs(fitted_s / point.seen_s - 1))
        seen_ms, fitted_ms = 1000 * point.seen_s, 1000 * fitted_s
        lines.append(f"{point.what:34} {seen_ms:9.2f} ms  fitted {fitted_ms:9.2f} ms")
    return "\n".join([*lines, f"mean relative error {sum(errors) / len(errors):.0%}"])


async def measure(engine: Engine, batched: int) -> list[Point]:
    """Ask for everything, one experiment after the other. Raises MeasureError."""
    chance = random.Random(1)  # noqa: S311  # prompts that nobody has cached
    points: list[Point] = []
    await mean_of(engine, [ask_of(chance, 64, 8)], "itl_s")  # the first request of all is slow
    for tokens in PREFILL_TOKENS:
        times = [
            await mean_of(engine, [ask_of(chance, tokens, 1)], "prefill_s") for _ in range(REPEATS)
        ]
        # The least disturbed one: everything that happens to a process only makes it slower.
        point = Point(f"prefill of {tokens}", prefill_row(tokens, batched), min(times))
        points.append(point)
    for streams, tokens in DECODES:
        asks = [ask_of(chance, tokens, DECODE_TOKENS) for _ in range(streams)]
        await engine.all(asks)  # the prompts are cached then, and decoding is all that is left
        seen_s = min([await mean_of(engine, asks, "itl_s") for _ in range(REPEATS)])
        row = decode_row(streams, tokens + DECODE_TOKENS / 2)
        points.append(Point(f"step of {streams} with {tokens} tokens", row, seen_s))
    return points


def ask_of(chance: random.Random, tokens: int, output_tokens: int) -> Ask:
    return Ask(ids=tuple(chance.choices(_IDS, k=tokens)), output_tokens=output_tokens)


async def mean_of(engine: Engine, asks: Sequence[Ask], what: str) -> float:
    """The mean of one histogram over some requests. Raises MeasureError."""
    before = _total(await engine.load(), what)
    await engine.all(asks)
    after = _total(await engine.load(), what)
    if after.count <= before.count:
        raise MeasureError(f"the engine's metrics say nothing of {what}")
    return (after.sum - before.sum) / (after.count - before.count)


def _total(load: Load, what: str) -> Total:
    return load.prefill_s if what == "prefill_s" else load.itl_s


async def calibrate(flags: Flags) -> str:
    """Measure, fit, write the profile. Returns the report. Raises MeasureError."""
    async with Engine(flags.url, flags.model) as engine:
        load = await engine.load()
        points = await measure(engine, flags.max_num_batched_tokens)
    base = Profile(
        name=flags.name,
        step_s=1.0,
        token_s=0.0,
        max_batched_tokens=flags.max_num_batched_tokens,
        max_seqs=flags.max_num_seqs,
        blocks=load.blocks,
        block_tokens=load.block_tokens,
    )
    profile = profile_of(points, base)
    path = Path(flags.output)
    write(profile, path)
    return f"{report(points, profile)}\n{profile}\nwritten to {path}"


def write(profile: Profile, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(profile)) + b"\n")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m engines.sim calibrate", description=__doc__)
    parser.add_argument("--url", required=True, help="of a vLLM that has nothing else to do")
    parser.add_argument("--model", required=True)
    parser.add_argument("-o", "--output", default="profile.json")
    parser.add_argument("--name", default="calibrated")
    parser.add_argument("--max-num-seqs", type=int, default=128, help="as vLLM was told")
    parser.add_argument("--max-num-batched-tokens", type=int, default=2048, help="likewise")
    flags = parser.parse_args(arguments, namespace=Flags())
    try:
        told = asyncio.run(calibrate(flags))
    except (MeasureError, UnreadableError, OSError) as wrong:
        sys.stderr.write(f"engines.sim calibrate: {wrong}\n")
        return 1
    sys.stdout.write(f"{told}\n")
    return 0
