"""Physics against a measurement that others published: `python -m study.published` prints a table.

KubeAI's benchmark (kubeai.org, "Benchmarking Prefix Aware Load Balancing"): 8 L4, Llama 3.1 8B in FP8,
800 and 1600 requests at once, prompts of 832 tokens and answers of 76 on average. Nothing in the
simulator was fitted to it: the profile comes from data sheets.
"""

from collections.abc import Iterator, Sequence

import msgspec

from extproc.routing.settings import DEFAULTS
from study.cases import CASES
from study.plan import Spec
from study.run import RAMP_S, simulate
from study.tables import table
from study.threads import Closed

SEED = 1


class Measured(msgspec.Struct, frozen=True):
    """What they report of one run; times in ms."""

    at_once: int
    theirs: str
    """Their name for it."""
    picker: str
    """Ours."""
    requests_per_s: float
    ttft_ms: float
    tpot_ms: float


PUBLISHED: Sequence[Measured] = (
    Measured(800, "Kubernetes Service", "random", 50.0, 1320, 189),
    Measured(800, "least load", "least_request", 50.5, 817, 191),
    Measured(800, "prefix hash", "chwbl", 76.4, 280, 87),
    Measured(1600, "Kubernetes Service", "random", 50.9, 10365, 217),
    Measured(1600, "least load", "least_request", 52.3, 10579, 212),
    Measured(1600, "prefix hash", "chwbl", 72.7, 196, 79),
)


def main() -> None:
    head = ["at once, picker", "req/s", "here", "mean TTFT, ms", "here", "mean TPOT, ms", "here"]
    print(table([*head, "hit ratio here"], rows()))


def rows() -> Iterator[list[str]]:
    """Theirs and ours in turn."""
    case = CASES["chat"]
    for each in PUBLISHED:
        asks = Closed(case.shape, SEED, each.at_once, RAMP_S)
        settings = msgspec.structs.replace(DEFAULTS, algorithm=each.picker)
        found = simulate(Spec("chat", each.picker, 100, SEED), settings, asks)
        yield [
            f"{each.at_once}, {each.theirs} ({each.picker})",
            f"{each.requests_per_s:.0f}",
            f"{found.requests_per_s:.0f}",
            f"{each.ttft_ms:.0f}",
            f"{found.mean_ttft_s * 1000:.0f}",
            f"{each.tpot_ms:.0f}",
            f"{found.mean_tpot_s * 1000:.0f}",
            f"{found.hit_ratio:.2f}",
        ]


if __name__ == "__main__":
    main()
