"""What it costs to look for personal data, beside Python's `re` and google-re2 alone: `python -m bench.scanning`.

All in this process, in one run, over the same texts: English and Chinese mixed, without any value and with
ten in 10 kB. The best of some rounds. A goal that is missed does not fail it.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import re2

from extproc.dialects.texts import find_texts
from extproc.request import Kind
from extproc.safety.pii.engine import Said, framed, shipped
from extproc.safety.pii.keys import KEY_PATTERNS
from extproc.safety.pii.mask import Masker, replace
from extproc.safety.pii.own import Own
from extproc.safety.pii.patterns import PATTERNS

ROOT = Path(__file__).parents[1]
SIZE_BYTES = 10_000
LONG = 100
GOALS_MB_S = {"without any": 300, "ten values in 10 kB": 50}
CHINESE = (
    "网关统一管理对模型的访问\uff0c限制每个用户的请求速率\uff0c并记录每次调用的费用。"
    "当请求超过限额时\uff0c系统会返回错误信息\uff0c并告诉客户端何时可以重试。"
)
VALUES = (
    "邮箱wei.li@example.com已绑定", "卡号4111 1111 1111 1111有效", "主机10.20.30.40可用",
    "电话138-0013-8000", "call (415) 555-2671 today", "IBAN GB29 NWBK 6016 1331 9268 19",
    "住在北京市朝阳区建国路88号3号楼502室", "key sk-proj-a1B2c3D4e5F6g7H8i9J0 leaked", "DOB: 03/07/1990",
    "京A·12345停在门口",
)  # fmt: skip


def texts() -> Mapping[str, str]:
    """Lines of this project's docs and Chinese ones by turns."""
    lines = [
        line
        for path in sorted((ROOT / "docs").glob("*.md"))
        for line in path.read_text().splitlines()
        if line and not any(char.isdigit() for char in line)
    ]
    clean: list[str] = []
    size = 0
    for line in lines:
        clean += (line, CHINESE)
        size += len(f"{line}{CHINESE}\n\n".encode())
        if size > SIZE_BYTES:
            break
    step = len(clean) // len(VALUES)
    dense = [
        f"{line}{VALUES[number // step]}"
        if number % step == 0 and number // step < len(VALUES)
        else line
        for number, line in enumerate(clean)
    ]
    return {"without any": "\n".join(clean), "ten values in 10 kB": "\n".join(dense)}


def best_s(work: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        begun_s = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun_s)
    return best


def expressions() -> Sequence[str]:
    return [framed(each.expression) for each in (*PATTERNS, *KEY_PATTERNS)]


def python_re() -> Callable[[str], int]:
    """Each pattern alone. re2 writes code points its own way."""
    written = (re.sub(r"\\x\{(\w{4})\}", r"\\u\1", each) for each in expressions())
    compiled = [re.compile(each) for each in written]
    return lambda text: sum(1 for each in compiled for _ in each.finditer(text))


def re2_set() -> Callable[[str], int]:
    """All at once to see which there are, then those alone: the best that re2 does by itself."""
    every = re2.Set.SearchSet()
    for each in expressions():
        every.Add(each)
    every.Compile()
    alone = [re2.compile(each) for each in expressions()]

    def find(text: str) -> int:
        raw, found = text.encode(), 0
        for index in every.Match(raw) or ():
            at = 0
            while match := alone[index].search(raw, at):
                found, at = found + 1, max(match.end(), at + 1)
        return found

    return find


def headgate(own: Own | None = None) -> Callable[[str], int]:
    engine = shipped()
    return lambda text: len(engine.find([Said(text)], own)[0])


def show(name: str, find: Callable[[str], int], rounds: int) -> None:
    cells: list[str] = []
    for text in texts().values():
        size = len(text.encode())
        speed = size / best_s(lambda text=text: find(text), rounds) / 1e6
        cells.append(f"{speed:,.1f} MB/s ({find(text)})")
    print(f"| {name} | {' | '.join(cells)} |")


def show_whole() -> None:
    """A request: its texts found, looked through, and ten values masked."""
    text = texts()["ten values in 10 kB"]
    document = {"model": "m", "messages": [{"role": "user", "content": text}]}
    engine = shipped()

    def work() -> None:
        found = find_texts(Kind.CHAT, document)
        findings = engine.find([Said(each.text) for each in found])
        masker = Masker("k" * 32, "acme")
        for each, some in zip(found, findings, strict=True):
            replace(each.text, sorted(some, key=lambda one: one.start)[:10], masker.mask)

    print(
        f"\na request of {len(text.encode()):,} B, ten values masked: {best_s(work, 50) * 1e6:.0f} us"
    )
    long = "\n".join([text] * LONG)
    for name, each in (
        ("10 values in each 10 kB", long),
        ("nothing", texts()["without any"] * LONG),
    ):
        seconds = best_s(lambda each=each: engine.find([Said(each)]), 3)
        print(f"{len(each.encode()) / 1e6:.1f} MB, {name}: {seconds * 1000:.1f} ms")


def main() -> None:
    print(f"{len(expressions())} patterns; in brackets how many candidates or findings\n")
    print("| | " + " | ".join(f"{name}" for name in texts()) + " |\n|---|---:|---:|")
    show("Python re, one by one", python_re(), 3)
    show("google-re2, set and then those that hit", re2_set(), 20)
    show("Headgate: hyperscan, re2, checks", headgate(), 100)
    words = [("code_name", f"project {number} falcon", False) for number in range(1000)]
    own = Own([("employee", "EMP-[0-9]{6}")], words)
    show("the same with 1 000 words and a pattern of one's own", headgate(own), 100)
    goals = " | ".join(f"{goal} MB/s" for goal in GOALS_MB_S.values())
    print(f"| goal | {goals} |")
    show_whole()


if __name__ == "__main__":
    main()
