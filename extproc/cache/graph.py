"""Search in a graph of neighbours (HNSW), for what is too much to look at each time.

usearch: wheels for every Python we run on, and vectors can be taken out and replaced, which a cache does
all day. Numbers have 16 bits: half the memory, and the same neighbours (`docs/cache.md`).
"""

from collections.abc import Sequence

import numpy as np
from usearch.index import Index as Usearch

from extproc.cache.nearest import Exact, Found, Vector

FEW = 1000
"""Up to here all are looked at, in 0.1 ms; a graph is no faster, and may miss one."""
STEP = 4
"""Vectors that move into the graph with each that comes, 0.2 ms each, so that nobody waits for all."""
LINKS, BREADTH_ADDING, BREADTH_FINDING = 16, 128, 64
"""How densely the graph is knit, and how widely it is walked: what nearly everybody uses."""


class Graph:
    """Implements `Index`: exact while there are few."""

    def __init__(self, dims: int, few: int = FEW) -> None:
        self._dims = dims
        self._few = few
        self._exact: Exact | None = Exact(dims)
        self._graph: Usearch | None = None
        self._moved = 0
        """Slots below it are in the graph, if anywhere."""
        self._top = 0

    def put(self, slot: int, vector: Vector) -> None:
        self._top = max(self._top, slot + 1)
        if self._exact is not None and slot >= self._moved:
            self._exact.put(slot, vector)
        else:
            self._link(slot, vector)
        if self._exact is not None and self._top > self._few:
            self._move(self._exact)

    def drop(self, slot: int) -> None:
        if self._exact is not None and slot >= self._moved:
            self._exact.drop(slot)
        elif self._graph is not None and slot in self._graph:
            self._graph.remove(slot)

    def nearest(self, vector: Vector, count: int) -> Sequence[Found]:
        found = list(self._exact.nearest(vector, count)) if self._exact is not None else []
        if self._graph is not None and len(self._graph):
            matches = self._graph.search(vector, count, threads=1)
            slots: list[int] = matches.keys.tolist()
            distances: list[float] = matches.distances.tolist()
            pairs = zip(slots, distances, strict=True)
            found += [(slot, 1 - distance) for slot, distance in pairs if distance < 1]
        found.sort(key=lambda pair: -pair[1])
        return found[:count]

    def _move(self, exact: Exact) -> None:
        """Move the next few into the graph."""
        end = min(self._moved + STEP, self._top)
        for slot in range(self._moved, end):
            vector = exact.at(slot).copy()
            if np.any(vector):
                self._link(slot, vector)
                exact.drop(slot)
        self._moved = end
        if end == self._top:
            self._exact = None

    def _link(self, slot: int, vector: Vector) -> None:
        if self._graph is None:
            self._graph = Usearch(
                ndim=self._dims,
                metric="ip",
                dtype="f16",
                connectivity=LINKS,
                expansion_add=BREADTH_ADDING,
                expansion_search=BREADTH_FINDING,
            )
        if slot in self._graph:
            self._graph.remove(slot)
        self._graph.add(slot, vector, threads=1)
