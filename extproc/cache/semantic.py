"""Finds questions that sound alike, and asks the guard whether they ask the same.

In the memory of one worker, exactly, by one product of a matrix and a vector: 0.1 ms for a full
partition. Nothing is compared across partitions, and a partition is one tenant's.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from extproc.cache.embedding import Embedder
from extproc.cache.guard import asks_same
from extproc.cache.turn import Near, Sought

MOST_IN_PARTITION = 1000
"""Questions that follow the same conversation. The oldest is replaced."""
MOST_OF_TENANT = 5_000
MOST = 20_000
"""In all: 2 kB each, 40 MB in a worker."""
MOST_TRIED = 8
"""Neighbours that the guard is asked about, 20 us each."""

Vectors = NDArray[np.float32]


class Item(msgspec.Struct, frozen=True):
    key: str
    turn: str
    until_ms: int


@dataclass(slots=True)
class Partition:
    """A ring of questions."""

    vectors: Vectors
    items: list[Item] = field(default_factory=list[Item])
    at: int = 0

    def put(self, vector: Vectors, item: Item) -> bool:
        """Add it, or put it in place of the oldest; return whether there is one more now."""
        for index, each in enumerate(self.items):
            if each.key == item.key:
                self.items[index] = item
                return False
        if len(self.items) < MOST_IN_PARTITION:
            if len(self.items) == len(self.vectors):
                self.vectors = np.concatenate([self.vectors, np.zeros_like(self.vectors)])
            self.vectors[len(self.items)] = vector
            self.items.append(item)
            return True
        self.vectors[self.at], self.items[self.at] = vector, item
        self.at = (self.at + 1) % MOST_IN_PARTITION
        return False


class Semantic:
    """Implements `Likeness`."""

    def __init__(
        self, embedder: Embedder, most_of_tenant: int = MOST_OF_TENANT, most: int = MOST
    ) -> None:
        self._embedder = embedder
        self._most_of_tenant = most_of_tenant
        self._most = most
        self._partitions: OrderedDict[tuple[str, str], Partition] = OrderedDict()
        """By tenant and partition, those used last at the end."""
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    async def hear(self, sought: Sought) -> Sought:
        vector = await self._embedder.embed(sought.turn)
        return msgspec.structs.replace(sought, vector=vector)

    def find(self, sought: Sought, threshold: float, now_ms: int) -> Near | None:
        name = sought.tenant, sought.partition
        partition = self._partitions.get(name)
        vector = np.frombuffer(sought.vector, np.float32)
        if partition is None or partition.vectors.shape[1] != len(vector):
            return None
        self._partitions.move_to_end(name)
        alike = partition.vectors[: len(partition.items)] @ vector
        nearest: list[int] = np.argsort(-alike)[:MOST_TRIED].tolist()
        for index in nearest:
            similarity, item = float(alike[index]), partition.items[index]
            if similarity < threshold:
                return None
            if item.until_ms > now_ms and asks_same(sought.turn, item.turn):
                return Near(item.key, similarity)
        return None

    def add(self, sought: Sought, key: str, until_ms: int) -> None:
        vector = np.frombuffer(sought.vector, np.float32)
        name = sought.tenant, sought.partition
        partition = self._partitions.get(name)
        if partition is None or partition.vectors.shape[1] != len(vector):
            self._drop(name)
            partition = self._partitions[name] = Partition(np.zeros((4, len(vector)), np.float32))
        self._partitions.move_to_end(name)
        if partition.put(vector, Item(key, sought.turn, until_ms)):
            self._counts[sought.tenant] = self._counts.get(sought.tenant, 0) + 1
        self._make_room(name)

    def _make_room(self, newest: tuple[str, str]) -> None:
        tenant = newest[0]
        while self._counts.get(tenant, 0) > self._most_of_tenant:
            oldest = next((name for name in self._partitions if name[0] == tenant), newest)
            self._drop(oldest)
            if oldest == newest:
                return
        while len(self) > self._most:
            self._drop(next(iter(self._partitions)))

    def _drop(self, name: tuple[str, str]) -> None:
        gone = self._partitions.pop(name, None)
        if gone is not None:
            left = self._counts.get(name[0], 0) - len(gone.items)
            self._counts[name[0]] = left
            if not left:
                del self._counts[name[0]]
