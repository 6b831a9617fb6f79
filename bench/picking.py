"""What a pick costs, and what the index of prefixes weighs.

`python -m bench.picking`. In this process and warm: CPU time, the best of a few rounds, because
whatever else the machine does only adds. Prompts have 4 k tokens (16 kB), the first 20 blocks are a
system prompt that all endpoints have; half of the conversations are known. Every endpoint has been
looked at, and has some load.
"""

import argparse
import gc
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

from engines.blocks import chain_bytes
from engines.load import Load
from engines.rates import Rates
from extproc.dialects.canonical import write_prompt
from extproc.filters.prefix import BLOCK_BYTES, MOST_BLOCKS
from extproc.request import Kind
from extproc.routing.candidate import Asked, Candidate
from extproc.routing.pickers import PICKERS, make_picker
from extproc.routing.prefixes import BLOCK_TOKENS, MOST_OF_POOL, Prefixes
from extproc.routing.settings import DEFAULTS, Algorithm, PickerSettings

SIZES = (8, 64, 500)
ROUNDS = 9
PICKS = 100
PROMPT_TOKENS, SYSTEM_BLOCKS = 4_096, 20
GOAL_US, GOAL_ENDPOINTS = 150.0, 64
NOW_S = 1_000.0
MEGABYTE = 1e6


class Cost(NamedTuple):
    """Microseconds of CPU for one pick. `choose` has the match within it, where a picker needs one."""

    algorithm: str
    endpoints: int
    hash_us: float
    match_us: float
    choose_us: float
    note_us: float

    @property
    def total_us(self) -> float:
        return self.hash_us + self.choose_us + self.note_us


def best_us(work: Callable[[], object], count: int = PICKS) -> float:
    """Take the best of a few rounds of so many."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun_s = time.process_time()
        work()
        best = min(best, time.process_time() - begun_s)
    return 1e6 * best / count


def make_candidates(count: int, chance: Random) -> list[Candidate]:
    """Make endpoints that have some load each."""
    return [
        Candidate(
            f"10.0.{number // 250}.{number % 250}:8000",
            Load(
                running=chance.randrange(40),
                waiting=chance.randrange(3),
                kv_usage=chance.random() * 0.8,
                blocks=25_000,
                block_tokens=16,
            ),
            NOW_S - 0.1,
            Rates(chance.uniform(4e3, 3e4), 0.02, 0.01, 3e-4, 500.0, 2.0, None, 0.2, 64.0),
            in_flight=chance.randrange(40),
            in_flight_tokens=chance.randrange(20_000),
            unseen=chance.randrange(3),
            unseen_tokens=chance.randrange(3_000),
        )
        for number in range(count)
    ]


def make_documents(chance: Random) -> Sequence[dict[str, Any]]:
    """Make conversations of eight turns after one system prompt."""
    system = "You are a helpful assistant of a large company. " * 107
    turn = (PROMPT_TOKENS * 4 - len(system)) // 8
    return [
        {
            "messages": [
                {"role": "system", "content": system},
                *(
                    {"role": ("user", "assistant")[number % 2], "content": write(chance, turn)}
                    for number in range(8)
                ),
            ]
        }
        for _ in range(PICKS)
    ]


def write(chance: Random, chars: int) -> str:
    return f"{chance.getrandbits(4 * chars):0{chars}x}"


def cut(document: dict[str, Any]) -> list[int]:
    """Do what `filters/prefix.py` does."""
    text = write_prompt(Kind.CHAT, document, MOST_BLOCKS * BLOCK_BYTES)
    return chain_bytes("salt", text[: MOST_BLOCKS * BLOCK_BYTES], BLOCK_BYTES)


def measure(algorithm: Algorithm, count: int, documents: Sequence[dict[str, Any]]) -> Cost:
    chance = Random(count)  # noqa: S311 - no secret
    candidates, prefixes = make_candidates(count, chance), Prefixes()
    blocks = [tuple(cut(document)) for document in documents]
    for each in candidates:
        prefixes.note(each.endpoint, blocks[0][:SYSTEM_BLOCKS])
    for known in blocks[: PICKS // 2]:
        prefixes.note(chance.choice(candidates).endpoint, known)
    picker = make_picker(PickerSettings(algorithm=algorithm), prefixes)
    asked = [
        Asked(f"k{number}", PROMPT_TOKENS, each, BLOCK_TOKENS) for number, each in enumerate(blocks)
    ]
    where = [picker.choose(each, candidates, NOW_S).endpoints[0] for each in asked]
    return Cost(
        algorithm,
        count,
        best_us(lambda: [cut(each) for each in documents]),
        best_us(lambda: [prefixes.matched(each.blocks, NOW_S) for each in asked]),
        best_us(lambda: [picker.choose(each, candidates, NOW_S) for each in asked]),
        best_us(
            lambda: [
                prefixes.note(endpoint, each, NOW_S)
                for endpoint, each in zip(where, blocks, strict=True)
            ]
        ),
    )


def weigh(endpoints: int, holders: int, blocks: int) -> float:
    """Bytes for each block that is kept, when `holders` endpoints have every prompt."""
    chance = Random(7)  # noqa: S311 - no secret
    names = [f"10.0.{number // 250}.{number % 250}:8000" for number in range(endpoints)]
    gc.collect()
    tracemalloc.start()
    prefixes = Prefixes(most_of_pool=blocks)
    for _ in range(2 * blocks // (BLOCK_TOKENS * holders)):
        prompt = [chance.getrandbits(64) for _ in range(BLOCK_TOKENS)]
        for name in chance.sample(names, holders):
            prefixes.note(name, prompt)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(prefixes) <= blocks
    return held / len(prefixes)


def print_costs(costs: Sequence[Cost]) -> None:
    print("| picker | endpoints | hash us | match us | choose us | note us | in all us |")
    print("|---|---|---|---|---|---|---|")
    for cost in costs:
        told = (cost.hash_us, cost.match_us, cost.choose_us, cost.note_us, cost.total_us)
        print(f"| {cost.algorithm} | {cost.endpoints} | {' | '.join(f'{us:.0f}' for us in told)} |")


def print_weights(blocks: int) -> None:
    print("\n| endpoints | that have each prompt | bytes for a block | at the bound of a pool |")
    print("|---|---|---|---|")
    for endpoints, holders in ((8, 1), (64, 1), (64, 4), (500, 1), (500, 4)):
        each = weigh(endpoints, holders, blocks)
        most = each * MOST_OF_POOL / MEGABYTE
        print(f"| {endpoints} | {holders} | {each:.0f} | {most:.0f} MB |")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.picking", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=sorted(PICKERS), default=list(PICKERS))
    parser.add_argument("--blocks", type=int, default=200_000, help="for the weight of the index")
    flags = parser.parse_args(arguments)
    documents = make_documents(Random(1))  # noqa: S311 - no secret
    costs = [measure(algorithm, size, documents) for algorithm in flags.only for size in SIZES]
    print_costs(costs)
    print_weights(flags.blocks)
    for cost in costs:
        if cost.algorithm == DEFAULTS.algorithm and cost.endpoints == GOAL_ENDPOINTS:
            met = "met" if cost.total_us <= GOAL_US else "missed"
            print(
                f"\ngoal: {GOAL_US:.0f} us at {GOAL_ENDPOINTS} endpoints: {cost.total_us:.0f}, {met}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
