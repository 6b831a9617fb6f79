"""Kept questions of one worker, in its memory."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec
import numpy as np

from extproc.cache.nearest import Exact, Found, Index, Vector
from extproc.cache.questions import MOST_TRIED, Alike, Room
from extproc.cache.turn import Sought

ROUNDS = 3
"""Searches at most for one question, where what is past its time stands before what is not."""


class Item(msgspec.Struct, frozen=True):
    key: str
    turn: str
    until_ms: int


@dataclass(slots=True)
class Conversation:
    """The questions that follow one conversation."""

    dims: int
    index: Index
    slots: dict[str, int] = field(default_factory=dict[str, int])
    """By key, the oldest first."""
    items: dict[int, Item] = field(default_factory=dict[int, Item])
    free: list[int] = field(default_factory=list[int])

    def put(self, vector: Vector, item: Item) -> None:
        slot = self.slots.pop(item.key, None)
        if slot is None:
            slot = self.free.pop() if self.free else len(self.items)
        self.index.put(slot, vector)
        self.slots[item.key], self.items[slot] = slot, item

    def drop(self, key: str) -> None:
        slot = self.slots.pop(key)
        del self.items[slot]
        self.index.drop(slot)
        self.free.append(slot)

    def drop_oldest(self) -> None:
        self.drop(next(iter(self.slots)))

    def nearest(self, vector: Vector, now_ms: int) -> Sequence[Found]:
        """Find what is not past its time; what is goes, so that it hides nothing the next time."""
        found: Sequence[Found] = []
        for _ in range(ROUNDS):
            found = self.index.nearest(vector, MOST_TRIED)
            over = [slot for slot, _ in found if self.items[slot].until_ms <= now_ms]
            if not over:
                break
            for slot in over:
                self.drop(self.items[slot].key)
        return [pair for pair in found if pair[0] in self.items]


NOTHING: Mapping[str, Conversation] = MappingProxyType({})


class MemoryQuestions:
    """Implements `Questions`."""

    def __init__(self, room: Room | None = None, make: Callable[[int], Index] = Exact) -> None:
        """`make`: an index for vectors of so many dimensions."""
        self._room = room or Room()
        self._make = make
        self._tenants: dict[str, OrderedDict[str, Conversation]] = {}
        """Of each tenant, those used last at the end."""
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    async def nearest(self, sought: Sought, now_ms: int) -> Sequence[Alike]:
        conversation = self._tenants.get(sought.tenant, NOTHING).get(sought.partition)
        vector = np.frombuffer(sought.vector, np.float32)
        if conversation is None or conversation.dims != len(vector):
            return []
        before = len(conversation.items)
        found = conversation.nearest(vector, now_ms)
        self._counts[sought.tenant] -= before - len(conversation.items)
        self._tenants[sought.tenant].move_to_end(sought.partition)
        items = conversation.items
        alike = [Alike(items[slot].key, items[slot].turn, similarity) for slot, similarity in found]
        self._tidy(sought.tenant, sought.partition)
        return alike

    async def add(self, sought: Sought, key: str, until_ms: int) -> None:
        vector = np.frombuffer(sought.vector, np.float32)
        conversations = self._tenants.setdefault(sought.tenant, OrderedDict())
        conversation = conversations.get(sought.partition)
        if conversation is None or conversation.dims != len(vector):
            gone = 0 if conversation is None else len(conversation.items)
            conversation = Conversation(len(vector), self._make(len(vector)))
            conversations[sought.partition] = conversation
            self._counts[sought.tenant] = self._counts.get(sought.tenant, 0) - gone
        conversations.move_to_end(sought.partition)
        before = len(conversation.items)
        if key not in conversation.slots and before >= self._room.most_of_conversation:
            conversation.drop_oldest()
        conversation.put(vector, Item(key, sought.turn, until_ms))
        self._counts[sought.tenant] += len(conversation.items) - before
        self._make_room(sought.tenant)

    async def count(self, place: str) -> int:
        return sum(1 for _ in self._find(place))

    async def purge(self, place: str) -> int:
        doomed = list(self._find(place))
        for tenant, partition, key in doomed:
            self._tenants[tenant][partition].drop(key)
            self._counts[tenant] -= 1
        for tenant, partition in {(tenant, partition) for tenant, partition, _ in doomed}:
            self._tidy(tenant, partition)
        return len(doomed)

    def _find(self, place: str) -> Sequence[tuple[str, str, str]]:
        """List tenant, conversation and key of all whose key begins with `place`."""
        return [
            (tenant, partition, key)
            for tenant, conversations in self._tenants.items()
            for partition, conversation in conversations.items()
            for key in conversation.slots
            if key.startswith(place)
        ]

    def _make_room(self, tenant: str) -> None:
        """Forget the oldest question of the conversation that was used longest ago: of this tenant, and
        then of whoever has most."""
        while self._counts.get(tenant, 0) > self._room.most_of_tenant:
            self._shed(tenant)
        while len(self) > self._room.most:
            self._shed(max(self._counts, key=lambda name: self._counts[name]))

    def _shed(self, tenant: str) -> None:
        partition, conversation = next(iter(self._tenants[tenant].items()))
        conversation.drop_oldest()
        self._counts[tenant] -= 1
        self._tidy(tenant, partition)

    def _tidy(self, tenant: str, partition: str) -> None:
        """Leave nothing of a conversation or a tenant of whom nothing is kept."""
        if not self._tenants[tenant][partition].items:
            del self._tenants[tenant][partition]
        if not self._tenants[tenant]:
            del self._tenants[tenant], self._counts[tenant]
