"""Engines and books to compare, made up a request at a time."""

from dataclasses import dataclass

from ledger.counters import Counters, Scrape
from ledger.looks import Entry, Running

BEGIN_MS = 1_790_000_000_000
A, B = "10.0.0.1:8000", "10.0.0.2:8000"
POOL = "p"
ITL_MS, TTFT_MS = 10, 50


def entry(seq=1, start_ms=BEGIN_MS, **members):
    """A whole answer of 10 prompt and 5 completion tokens on A."""
    usual = {
        "requests": 1, "booked_ms": start_ms + 300, "pool": POOL, "endpoint": A, "n": None,
        "prompt_tokens": 10, "completion_tokens": 5, "status": 200, "ttft_us": 50_000,
        "latency_us": 100_000, "attempts": 1, "unsettled": 0, "estimated": 0, "cut": 0,
    }  # fmt: skip
    return Entry(**{"seq": seq, "start_ms": start_ms, **usual, **members})


def scrape(at_ms, prompt=0, completion=0, started_s=None, took_ms=5):
    return Scrape(at_ms, at_ms + took_ms, Counters(prompt, completion, started_s))


@dataclass(frozen=True)
class Call:
    """One request, and what becomes of it. Times are milliseconds after BEGIN_MS."""

    start: int
    prompt: int
    completion: int
    n: int = 1
    endpoint: str = A
    leaves: int | None = None
    """When the client leaves, after the start."""
    linger: int = 0
    """How long the engine goes on after that."""
    failed_on: str | None = None
    """An endpoint that computes the prompt and then gives no answer."""
    streams: bool = True

    @property
    def whole_ms(self):
        return TTFT_MS + (self.completion - 1) * ITL_MS

    @property
    def took_ms(self):
        retry = TTFT_MS if self.failed_on else 0
        whole = retry + self.whole_ms
        return whole if self.leaves is None else min(whole, self.leaves)

    @property
    def end(self):
        return self.start + self.took_ms

    @property
    def is_cut(self):
        return self.leaves is not None and self.end < self.start + self.whole_ms

    def generated(self, after_ms):
        """Tokens of one answer, so long after it reached its engine."""
        return 0 if after_ms < TTFT_MS else min(self.completion, 1 + (after_ms - TTFT_MS) // ITL_MS)

    def counted(self, endpoint, now):
        """What the engine has counted for it by then: prompt and completion."""
        prompt = completion = 0
        begun = self.start
        if self.failed_on is not None:
            begun += TTFT_MS
            if endpoint == self.failed_on and now >= begun:
                prompt += self.prompt * self.n
        if endpoint == self.endpoint:
            stop = self.end + self.linger if self.is_cut else self.start + self.took_ms
            tokens = self.generated(min(now, stop) - begun)
            prompt += self.prompt * self.n if tokens else 0
            completion += tokens * self.n
        return prompt, completion

    def entry(self, seq):
        """What is booked: what the client could have seen by the end."""
        seen = self.generated(self.took_ms - (TTFT_MS if self.failed_on else 0))
        blind = self.is_cut and (not seen or not self.streams)
        return entry(
            seq,
            BEGIN_MS + self.start,
            endpoint=self.endpoint,
            n=self.n if self.n > 1 else None,
            prompt_tokens=None if blind else self.prompt,
            completion_tokens=None if blind else seen * self.n,
            latency_us=self.took_ms * 1000,
            ttft_us=TTFT_MS * 1000,
            attempts=2 if self.failed_on else 1,
            cut=int(self.is_cut),
            estimated=int(blind),
            booked_ms=BEGIN_MS + self.end + 200,
        )

    def running(self):
        return Running(BEGIN_MS + self.start, POOL, None, self.n, None, 0)


def scrape_of(calls, endpoint, now, skew=(0, 0)):
    """The counters of an engine; `skew`: what it had counted before any of this."""
    counted = [call.counted(endpoint, now) for call in calls]
    return scrape(
        BEGIN_MS + now,
        skew[0] + sum(prompt for prompt, _ in counted),
        skew[1] + sum(completion for _, completion in counted),
        took_ms=0,
    )
