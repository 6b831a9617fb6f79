"""The gateway and its engines; asking, and what the ledger then says."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import msgspec
import yaml

from extproc.cli.plan import DEMO_POLICY
from extproc.policy.status import read_statuses
from faults.chaos.double import Double, doubled
from faults.chaos.sims import Sim, running, start_all
from faults.stand import Stand, wait_for

KEY = "sk-headgate-acme"
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
FRESH_S, IN_FLIGHT_S = 1.0, 4.0
SLOW_MS = 1000
STUCK_S = 2.5
SILENCE_S = 3.0
WORDS = "asks why, and has a good deal to say about it. " * 12
"""More than one block, so that there is a beginning to hash."""
EVENTS = 4
"""Events of a stream that the client has seen when something happens to it."""


class Ask(msgspec.Struct, frozen=True):
    """What a client sends."""

    model: str = "four"
    path: str = CHAT
    members: Mapping[str, object] = {}
    """Of the body, beside the usual ones."""
    http2: bool = False
    within_s: float = 20.0
    """It leaves when nothing comes for so long."""
    then: Callable[[], object] | None = None
    """Done when some events of a stream have come."""

    def body(self, name: str) -> Mapping[str, object]:
        if self.path == RESPONSES:
            return {"model": self.model, "input": f"{name} {WORDS}", **self.members}
        messages = [{"role": "user", "content": f"{name} {WORDS}"}]
        return {"model": self.model, "max_tokens": 5, "messages": messages, **self.members}


PLAIN, TURNS, SLOW, PAIR = Ask(), Ask("turns"), Ask("slow"), Ask("pair")


class Answer(msgspec.Struct, frozen=True):
    """What a client saw."""

    request_id: str
    status: int
    """0: nothing came."""
    ended: str
    """`whole`, `incomplete` (HTTP/1), `reset` (HTTP/2), or `left`: the client gave up."""
    body: bytes
    headers: Mapping[str, str]

    @property
    def error(self) -> Mapping[str, str | int | None]:
        """In OpenAI's shape. Raises: msgspec.ValidationError when it is not."""
        return msgspec.json.decode(self.body, type=dict[str, dict[str, str | int | None]])["error"]


class Line(msgspec.Struct, frozen=True):
    """What the ledger says."""

    status: int
    endpoint: str | None
    attempts: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cut: bool
    estimated: bool
    deny_reason: str | None


@dataclass
class Scene:
    """Four engines in the pools `four`, `brief`, which gives them up when they are silent, and `turns`, which
    takes one after the other; one of them and a slow one in `slow`; two doubles in `pair`."""

    stand: Stand
    sims: Sequence[Sim]
    slow: Sim
    doubles: Sequence[Double]
    threads: ThreadPoolExecutor
    numbers: "count[int]" = field(default_factory=count)

    def ask(self, asked: Ask = PLAIN) -> Answer:
        """Ask, and read the answer as far as it comes."""
        request_id = f"chaos-{next(self.numbers)}"
        status, ended, got, headers = 0, "whole", b"", dict[str, str]()
        said = {"authorization": f"Bearer {KEY}", "x-request-id": request_id}
        url, body, then = f"{self.stand.url}{asked.path}", asked.body(request_id), asked.then
        http1, patience_s = not asked.http2, asked.within_s
        with httpx.Client(http1=http1, http2=asked.http2, timeout=patience_s) as client:
            try:
                with client.stream("POST", url, json=body, headers=said) as answer:
                    status, headers = answer.status_code, dict(answer.headers)
                    for piece in answer.iter_raw():
                        got += piece
                        if then is not None and got.count(b"data: ") >= EVENTS:
                            then()
                            then = None
            except httpx.ReadTimeout:
                ended = "left"
            except httpx.RemoteProtocolError:
                ended = "incomplete" if http1 else "reset"
        return Answer(request_id, status, ended, got, headers)

    def begin(self, asked: Ask) -> tuple[Future[Answer], Sim]:
        """Ask for what takes a while; return the answer to come and the engine that has it in hand. What is answered
        before that one is found is asked for again."""
        coming = self.threads.submit(self.ask, asked)
        up = [sim for sim in self.sims if sim.is_up]

        def find() -> Sim | None:
            nonlocal coming
            if coming.done():
                coming = self.threads.submit(self.ask, asked)
            return next((sim for sim in up if sim.has_work()), None)

        busy = wait_for(find, what="it to begin")
        return coming, busy

    def busy(self) -> Sim:
        """Find the engine that has a request in hand."""
        return next(sim for sim in self.sims if sim.is_up and sim.has_work())

    def line(self, answer: Answer) -> Line:
        """Read what the ledger says of it, once it does: one line, or it is a StandError."""
        where = f"file:{self.stand.layout.ledger}?mode=ro"
        names = ", ".join(Line.__struct_fields__)

        def read() -> list[tuple[object, ...]]:
            with closing(sqlite3.connect(where, uri=True)) as ledger:
                asked = f"select {names} from request where request_id = ?"  # noqa: S608 - ours
                return ledger.execute(asked, (answer.request_id,)).fetchall()

        rows = wait_for(read, what=f"the row of {answer.request_id}")
        assert len(rows) == 1, f"{answer.request_id} has {len(rows)} rows"
        told = dict(zip(Line.__struct_fields__, rows[0], strict=True))
        return msgspec.convert(told, Line, strict=False)

    def rung(self, answer: Answer) -> str:
        """Read from the access log what its endpoint was chosen by."""
        self.line(answer)  # then the log has it
        for text in (self.stand.layout.log / "access.jsonl").read_text().splitlines():
            if answer.request_id in text:
                found = json.loads(text)
                if found.get("request_id") == answer.request_id:
                    return str(found["headgate"]["rung"])
        return ""

    def mend(self) -> None:
        """Start all engines, and wait until the gateway knows that they are there, with nothing in hand."""
        start_all(self.sims)
        self.until_noticed()
        wait_for(lambda: not any(sim.has_work() for sim in self.sims), what="the engines to end")

    def until_noticed(self) -> None:
        """Wait until the gateway knows which engines are there."""
        up = sum(sim.is_up for sim in self.sims)
        told = f'headgate_endpoints_healthy{{pool="four"}} {up:.1f}'
        wait_for(lambda: told in self.stand.metrics(), what=f"{up} engines to be well")

    def is_out(self, pool: str, sim: Sim) -> bool:
        """Whether the gateway sends it nothing now."""
        (worker,) = read_statuses(self.stand.layout.run)
        return worker.ailing.get(pool, {}).get(sim.endpoint, ("",))[0] == "open"

    def logged(self, event: str) -> int:
        """How often a worker has said so."""
        log = (self.stand.layout.log / "worker-0.log").read_text()
        return log.count(f'"event":"{event}"')


def write_policy(path: Path, sims: Sequence[Sim], slow: Sim, doubles: Sequence[Double]) -> None:
    shutil.copytree(DEMO_POLICY, path)
    picker = {"fresh_s": FRESH_S, "in_flight_s": IN_FLIGHT_S}
    health = {"slow_start_s": 0, "silent_s": 1, "errors": None, "ttft_for_s": STUCK_S}
    tight = {"slow_start_s": 0, "ttft_p99_s": SLOW_MS / 2000, "ttft_for_s": 1, "errors_least": 3,
             "open_s": 60}  # fmt: skip
    pools: Sequence[Mapping[str, object]] = [
        {"name": "four", "endpoints": [sim.endpoint for sim in sims],
         "picker": picker, "health": health},
        {"name": "turns", "endpoints": [sim.endpoint for sim in sims],
         "picker": {"algorithm": "round_robin"}, "health": health},
        {"name": "brief", "endpoints": [sim.endpoint for sim in sims],
         "picker": picker, "health": health, "silence_s": SILENCE_S},
        {"name": "slow", "endpoints": [sims[0].endpoint, slow.endpoint],
         "picker": {"algorithm": "round_robin"}, "health": tight},
        {"name": "pair", "endpoints": [each.endpoint for each in doubles],
         "picker": picker, "health": health},
    ]  # fmt: skip
    models = [
        {"name": str(pool["name"]), "pool": pool["name"], "served_as": "demo"} for pool in pools
    ]
    (path / "pools.yaml").write_text(yaml.safe_dump({"pools": pools, "models": models}))


@contextmanager
def scene(root: Path) -> Generator[Scene]:
    """Start everything below `root`, end it again. Raises: StandError."""
    sims, slow = [Sim() for _ in range(4)], Sim("--ttft-ms", str(SLOW_MS))
    with doubled(2) as doubles, running([*sims, slow]), ThreadPoolExecutor(4) as threads:
        write_policy(root / "policy", sims, slow, doubles)
        flags = ("--policy", str(root / "policy"), "--workers", "1")
        with Stand.running(root / "s", *flags) as stand:
            yield Scene(stand, sims, slow, doubles, threads)
