"""What is studied: traffic, the pool it meets, and how long."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from engines.sim.profile import Profile
from study.measure import Window
from study.pools import ALL_L4, HALF_AND_HALF, KUBEAI
from study.threads import Shape
from study.workloads import rag
from study.workloads.bursty import BURSTY
from study.workloads.chat import CHAT, TALK
from study.workloads.mixed import MIXED
from study.workloads.short import SHORT

LOADS = (20, 50, 80, 95, 110)
"""Percent of the capacity."""
NORMAL_LOAD = 80
REPLICAS = 8
WINDOW = Window(50.0, 95.0, 100.0)
"""The first part warms caches and learned rates; the last seconds let requests of the window get their
first tokens under the same load. Shorter where there are more requests."""


class Case(msgspec.Struct, frozen=True):
    """One kind of traffic before one kind of pool."""

    title: str
    about: str
    shape: Shape
    kinds: Sequence[Profile]
    threads: int = 0
    """At once, in a closed loop, before `REPLICAS` endpoints; 0: an open loop."""
    window: Window = WINDOW

    @property
    def loads(self) -> Sequence[int]:
        """Percent of the capacity; a closed loop takes all there is."""
        return (self.normal_load,) if self.threads else LOADS

    @property
    def normal_load(self) -> int:
        """What is looked at more closely."""
        return 100 if self.threads else NORMAL_LOAD


CASES: Mapping[str, Case] = MappingProxyType(
    {
        case.title: case
        for case in (
            Case(
                "chat",
                "KubeAI's: 1200 threads in a closed loop, 8 L4",
                CHAT,
                KUBEAI,
                threads=1200,
                window=Window(90.0, 140.0, 150.0),
            ),
            Case("talk", "multi-turn chats with pauses, 8 L4", TALK, ALL_L4),
            Case(
                "rag",
                "questions about 64 long documents, 8 L4",
                rag.shape(),
                ALL_L4,
                window=Window(45.0, 105.0, 115.0),
            ),
            Case(
                "mixed",
                "chats and long prompts, 4 L4 and 4 H100",
                MIXED,
                HALF_AND_HALF,
                window=Window(25.0, 45.0, 50.0),
            ),
            Case(
                "bursty", "chats in bursts, 8 L4", BURSTY, ALL_L4, window=Window(40.0, 115.0, 122.0)
            ),
            Case(
                "short",
                "the control: short and unshared, 8 L4",
                SHORT,
                ALL_L4,
                window=Window(20.0, 45.0, 50.0),
            ),
        )
    }
)
