"""`python -m engines.sim validate`: the same requests to a real vLLM and to the core, side by side.

First chats of several turns, one request at a time: the cached tokens of each must be the same.
Then prompts of all lengths at once and in bursts: who waits for whom, and how long.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence
from math import fsum, inf
from statistics import median

import msgspec

from engines.blocks import chain, root, token_bytes
from engines.exposition import UnreadableError
from engines.sim.core import Core
from engines.sim.events import Done, First
from engines.sim.fit import rank_correlation
from engines.sim.measure import Ask, Engine, MeasureError, Seen, Told
from engines.sim.profile import Profile, read_profile
from engines.sim.sequence import Job

_WORDS = [
    "river",
    "stone",
    "lamp",
    "green",
    "quiet",
    "seven",
    "paper",
    "north",
    "wheel",
    "salt",
    "garden",
    "morning",
]
_IDS = range(300, 1000)
"""Ordinary tokens, of every vocabulary that there is."""


_APART_S = 0.008
_REPEATS = 3


class Turn(msgspec.Struct, frozen=True):
    """One request of a chat: what vLLM found in its cache, and what the core did."""

    chat: int
    prompt_tokens: int
    vllm_cached_tokens: int
    core_cached_tokens: int


class Waited(msgspec.Struct, frozen=True):
    """One prompt under load: the time to its first token, there and here."""

    prompt_tokens: int
    vllm_s: float
    core_s: float


class Flags(argparse.Namespace):
    url: str
    model: str
    profile: str
    chats: int
    prompts: int


def block_hashes(ids: Sequence[int], block_tokens: int, salt: str) -> tuple[int, ...]:
    """The whole blocks of some tokens, chained."""
    parent, hashes = root(salt), list[int]()
    for start in range(0, len(ids) - block_tokens + 1, block_tokens):
        parent = chain(parent, token_bytes(ids[start : start + block_tokens]))
        hashes.append(parent)
    return tuple(hashes)


def words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(_WORDS, k=count))


async def compare_chats(engine: Engine, core: Core, chats: int, seed: str) -> list[Turn]:
    """Chats that begin alike, turn by turn in any order, of two tenants; some turns asked twice.

    `seed` is also a salt: nothing of an earlier run is found again. Raises MeasureError.
    """
    chance = random.Random(seed)  # noqa: S311  # a trace that can be repeated
    system = {"role": "system", "content": words(chance, 120)}
    threads: list[list[dict[str, str]]] = [[system] for _ in range(chats)]
    turns: list[Turn] = []
    for number in range(chats * 5):
        at = chance.randrange(chats)
        thread, salt = threads[at], f"{seed}-{at % 2}"
        if len(thread) == 1 or chance.random() < 0.85:
            text = words(chance, chance.choice([5, 40, 150]))
            thread.append({"role": "user", "content": text})
        told = await engine.chat(thread, chance.choice([1, 20, 64, 90]), salt)
        turns.append(_turn(core, at, told, salt, number))
        thread.append({"role": "assistant", "content": told.text})
        if sum(len(turn["content"]) for turn in thread) > 8_000:
            threads[at] = [system]
    return turns


def _turn(core: Core, at: int, told: Told, salt: str, number: int) -> Turn:
    """Have the core do what vLLM did."""
    now_s = float(number * 1000)
    ids = (*told.prompt_ids, *told.output_ids)
    job = Job(
        key=f"turn {number}",
        blocks=block_hashes(ids, core.profile.block_tokens, salt),
        prompt_tokens=len(told.prompt_ids),
        output_tokens=len(told.output_ids),
    )
    core.add(job, now_s)
    firsts = [event for event in core.run_to(now_s + 999) if isinstance(event, First)]
    return Turn(at, job.prompt_tokens, told.cached_tokens, firsts[0].cached_tokens)


def load_of(prompts: int, seed: str) -> list[Ask]:
    """Half of them faster than any engine, the others in small bursts; lengths as of chats and
    documents. Never two at one moment: nobody could say which of them was first."""
    chance = random.Random(seed)  # noqa: S311  # a trace that can be repeated
    asks: list[Ask] = []
    at_s = 0.0
    for number in range(prompts):
        at_s += _APART_S
        if number >= prompts // 2 and number % 5 == 0:
            at_s += chance.expovariate(4.0)
        tokens = min(max(int(chance.lognormvariate(6.3, 1.0)), 16), 3500)
        ids = tuple(chance.choices(_IDS, k=tokens))
        output_tokens = chance.randint(1, 40)
        asks.append(Ask(ids=ids, output_tokens=output_tokens, at_s=at_s, salt=seed))
    return asks


def replay(core: Core, asks: Sequence[Ask], seen: Sequence[Seen], start_s: float) -> list[Waited]:
    """The core with the same prompts, each when it was really sent."""
    size, firsts = core.profile.block_tokens, dict[int | str, float]()
    order = sorted(range(len(asks)), key=lambda at: seen[at].sent_s)
    for at in order:
        ask = asks[at]
        blocks = block_hashes(ask.ids, size, ask.salt)
        tokens = len(ask.ids)
        job = Job(key=at, blocks=blocks, prompt_tokens=tokens, output_tokens=ask.output_tokens)
        core.add(job, start_s + seen[at].sent_s)
    for event in core.run_to(inf):
        if isinstance(event, First):
            firsts[event.key] = event.at_s - start_s
        elif isinstance(event, Done) and event.key not in firsts:
            raise MeasureError(f"prompt {event.key} ended without a token")
    return [
        Waited(len(ask.ids), seen[at].ttft_s, firsts[at] - seen[at].sent_s)
        for at, ask in enumerate(asks)
    ]


class Result(msgspec.Struct, frozen=True):
    """What a validation has found."""

    turns: tuple[Turn, ...]
    waited: tuple[Waited, ...]
    vllm_queue_s: float
    """Mean, as vLLM's own histogram says."""
    core_queue_s: float

    @property
    def equal(self) -> int:
        return sum(turn.vllm_cached_tokens == turn.core_cached_tokens for turn in self.turns)

    @property
    def rank(self) -> float:
        """Of the times to the first token: 1 is the same order."""
        vllm_s, core_s = zip(*((one.vllm_s, one.core_s) for one in self.waited), strict=True)
        return rank_correlation(vllm_s, core_s)

    @property
    def error(self) -> float:
        """Of the time to the first token: the median of how far off, as a share of vLLM's."""
        return median(abs(one.core_s / one.vllm_s - 1) for one in self.waited)

    @property
    def factor(self) -> float:
        """How much slower vLLM was than the profile: what else the machine had to do."""
        return median(one.vllm_s / one.core_s for one in self.waited)

    @property
    def error_of_shape(self) -> float:
        """The error that is left when all the core's times are multiplied by `factor`."""
        factor = self.factor
        return median(abs(factor * one.core_s / one.vllm_s - 1) for one in self.waited)


async def validate(
    engine: Engine, profile: Profile, seed: str, *, chats: int, prompts: int
) -> Result:
    """Run both parts. The engine should have nothing else to do. Raises MeasureError."""
    told = await engine.load()
    profile = msgspec.structs.replace(profile, blocks=told.blocks, block_tokens=told.block_tokens)
    core = Core(profile)
    turns = await compare_chats(engine, core, chats, seed)
    asks = load_of(prompts, seed)
    before, queued_s = await engine.load(), core.meter.queue_s.total
    runs: list[list[Waited]] = []
    for number in range(_REPEATS):
        again = [msgspec.structs.replace(ask, salt=f"{seed}-{number}") for ask in asks]
        runs.append(replay(core, again, await engine.all(again), start_s=1e6 * (number + 1)))
    after = await engine.load()
    sent = _REPEATS * len(asks)
    return Result(
        tuple(turns),
        tuple(map(_least, zip(*runs, strict=True))),
        (after.queue_s.sum - before.queue_s.sum) / sent,
        (core.meter.queue_s.total - queued_s) / sent,
    )


def _least(runs: Sequence[Waited]) -> Waited:
    """One prompt's least disturbed run: whatever else the machine does only makes it slower."""
    best = min(runs, key=lambda run: run.vllm_s)
    return msgspec.structs.replace(best, core_s=min(run.core_s for run in runs))


def table(result: Result) -> str:
    """Both parts as Markdown."""
    turns, waited = result.turns, result.waited
    prompt = sum(turn.prompt_tokens for turn in turns)
    rows: list[tuple[str, str, str]] = [
        ("requests, one at a time", str(len(turns)), str(len(turns))),
        ("their prompt tokens", str(prompt), str(prompt)),
        (
            "of them cached",
            str(sum(turn.vllm_cached_tokens for turn in turns)),
            str(sum(turn.core_cached_tokens for turn in turns)),
        ),
        ("requests with the same cached tokens", "", f"{result.equal} of {len(turns)}"),
        ("prompts under load", str(len(waited)), str(len(waited))),
        ("mean time in the queue", _ms(result.vllm_queue_s), _ms(result.core_queue_s)),
        *(
            (
                f"time to first token, {name}",
                _ms(_quantile([one.vllm_s for one in waited], share)),
                _ms(_quantile([one.core_s for one in waited], share)),
            )
            for name, share in (("median", 0.5), ("p90", 0.9), ("longest", 1.0))
        ),
        (
            "time to first token, mean",
            _ms(fsum(one.vllm_s for one in waited) / len(waited)),
            _ms(fsum(one.core_s for one in waited) / len(waited)),
        ),
        ("its order (rank correlation)", "", f"{result.rank:.3f}"),
        ("its median error", "", f"{result.error:.0%}"),
        ("... after one factor for all", "", f"{result.error_of_shape:.0%}"),
        ("that factor", "", f"{result.factor:.2f}"),
    ]
    lines = [f"| {what} | {vllm} | {core} |" for what, vllm, core in rows]
    return "\n".join(["| | vLLM | simulator |", "|---|---|---|", *lines])


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[round(share * (len(values) - 1))]


async def _run(flags: Flags, profile: Profile) -> Result:
    seed = f"validate-{random.SystemRandom().randrange(10**9)}"
    async with Engine(flags.url, flags.model) as engine:
        return await validate(engine, profile, seed, chats=flags.chats, prompts=flags.prompts)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m engines.sim validate", description=__doc__)
    parser.add_argument("--url", required=True, help="of a vLLM that has nothing else to do")
    parser.add_argument("--model", required=True)
    parser.add_argument("--profile", default="cpu-tiny", help="a name, or a file of `calibrate`")
    parser.add_argument("--chats", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=120)
    flags = parser.parse_args(arguments, namespace=Flags())
    try:
        result = asyncio.run(_run(flags, read_profile(flags.profile)))
    except (MeasureError, UnreadableError, OSError, ValueError) as wrong:
        sys.stderr.write(f"engines.sim validate: {wrong}\n")
        return 1
    sys.stdout.write(f"{table(result)}\n")
    return 0 if result.equal == len(result.turns) else 1
