"""Kept questions that workers and gateways share, in Milvus.

One collection for each number of dimensions, with the tenant as partition key. A question is sealed with
a key that is made of its conversation's name, which is an HMAC itself and does not stand there: who reads
the collection cannot read what was asked, and what belongs to another tenant or conversation cannot be
opened, whatever Milvus answers. What a question is about can be guessed from its vector.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from extproc.cache.questions import MOST_TRIED, Alike, Room
from extproc.cache.turn import Sought
from extproc.dialects.ending import members
from extproc.errors import QuestionsFaultError
from extproc.stores.milvus import PATIENCE_S, Client, MilvusLine, Row

FIELDS = ["id", "tenant", "until_ms", "turn"]
PLAIN = re.compile(r"[A-Za-z0-9:.-]{0,160}")
"""What may stand in a filter, which Milvus Lite knows no parameters for; `_` stands for any character."""
TIDY_EVERY_S = 60.0
"""How often a worker that adds something makes room."""
FINEST_MS = 1000
LONGEST_MS = 32 * 86400 * 1000
NONCE_BYTES = 12


class MilvusQuestions:
    """Implements `Questions`."""

    def __init__(
        self,
        line: MilvusLine,
        room: Room | None = None,
        kind: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`kind` names what makes the vectors: those of another kind are never compared. `clock`:
        seconds since the epoch."""
        self._line = line
        self._room = room or Room()
        self._kind = kind
        self._clock = clock
        self._added: set[str] = set()
        """Tenants that this worker has added something of since it last made room."""
        self._tidied_s = clock()

    async def nearest(self, sought: Sought, now_ms: int) -> Sequence[Alike]:
        conversation = self._name(sought.partition)
        where = f"{self._of(sought.tenant)} and conversation == {quoted(conversation)}"
        vector = np.frombuffer(sought.vector, np.float32)
        collection = self._ready(len(vector))

        def ask(client: Client) -> Sequence[Row]:
            found = client.search(
                collection,
                data=[vector],
                filter=f"{where} and until_ms > {now_ms}",
                limit=MOST_TRIED,
                output_fields=FIELDS,
                search_params={"metric_type": "COSINE", "params": {"ef": 64}},
                timeout=self._line.where.deadline_s,
            )
            return found[0]

        rows = await self._line.call(ask, collection)
        opened = (self._open(row, sought, now_ms) for row in rows)
        return [alike for alike in opened if alike is not None]

    async def add(self, sought: Sought, key: str, until_ms: int) -> None:
        vector = np.frombuffer(sought.vector, np.float32)
        collection = self._ready(len(vector))
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._seal(sought).encrypt(nonce, sought.turn.encode(), bound(key, until_ms))
        row = {
            "id": key,
            "tenant": sought.tenant,
            "conversation": self._name(sought.partition),
            "until_ms": until_ms,
            "turn": (nonce + sealed).hex(),
            "vector": vector,
        }
        timeout_s = self._line.where.deadline_s
        await self._line.call(
            lambda client: client.upsert(collection, [row], timeout=timeout_s), collection
        )
        self._added.add(sought.tenant)
        if self._clock() - self._tidied_s >= TIDY_EVERY_S:
            self._tidied_s = self._clock()
            tenants, self._added = self._added, set()
            self._line.beside(partial(self._make_room, collection, tenants))

    async def count(self, place: str) -> int:
        return await self._everywhere(lambda client, name: count(client, name, begins(place)))

    async def purge(self, place: str) -> int:
        def ask(client: Client, name: str) -> int:
            found = count(client, name, begins(place))
            client.delete(name, filter=begins(place), timeout=PATIENCE_S)
            return found

        return await self._everywhere(ask)

    def begin(self, dims: int) -> bool:
        """Connect in the background, and see to it that there is a collection; say whether that is
        over."""
        name = self._collection(dims)
        return self._line.begin(name, partial(make_collection, name=name, dims=dims))

    async def prepare(self, dims: int) -> None:
        """Wait until there is a collection. Raises: QuestionsFaultError."""
        name = self._collection(dims)
        await self._line.prepare(name, partial(make_collection, name=name, dims=dims))

    async def _everywhere(self, ask: Callable[[Client, str], int]) -> int:
        """Sum up what is said of each collection of ours; for commands, whose line is patient."""
        first = self._collection("")

        def each(client: Client) -> int:
            names = client.list_collections(timeout=PATIENCE_S)
            ours = [name for name in names if name.startswith(first)]
            for name in ours:
                client.load_collection(name, timeout=PATIENCE_S)
            return sum(ask(client, name) for name in ours)

        await self._line.prepare("", lambda _: None)
        return await self._line.call(each, "")

    def _ready(self, dims: int) -> str:
        """Name the collection. Raises: QuestionsFaultError while it is not there."""
        if not self.begin(dims):
            raise QuestionsFaultError("Milvus is not there yet")
        return self._collection(dims)

    def _collection(self, dims: int | str) -> str:
        return f"{self._line.where.collection}_{dims}"

    def _of(self, tenant: str) -> str:
        return f"tenant == {quoted(tenant)}"

    def _name(self, partition: str) -> str:
        return hashlib.sha256(f"name\n{self._kind}\n{partition}".encode()).hexdigest()

    def _seal(self, sought: Sought) -> AESGCM:
        said = f"seal\n{self._kind}\n{sought.place}\n{sought.partition}"
        return AESGCM(hashlib.sha256(said.encode()).digest())

    def _open(self, row: Row, sought: Sought, now_ms: int) -> Alike | None:
        """Believe nothing that comes back: only what was sealed for this conversation is opened."""
        fields, distance = members(row.get("entity")), row.get("distance")
        key, until_ms, turn = (fields.get(name) for name in ("id", "until_ms", "turn"))
        if not isinstance(key, str) or not isinstance(until_ms, int) or not isinstance(turn, str):
            return None
        if until_ms <= now_ms or fields.get("tenant") != sought.tenant:
            return None
        if not isinstance(distance, float):
            return None
        try:
            sealed = bytes.fromhex(turn)
            opened = self._seal(sought).decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound(key, until_ms)
            )
            return Alike(key, opened.decode(), distance)
        except (InvalidTag, ValueError):
            return None

    def _make_room(self, collection: str, tenants: set[str], client: Client) -> None:
        """Forget what is past its time, and of what is too much what ends first."""
        now_ms = round(self._clock() * 1000)
        client.delete(collection, filter=f"until_ms <= {now_ms}", timeout=PATIENCE_S)
        for tenant in sorted(tenants):
            trim(client, collection, f"{self._of(tenant)} and ", self._room.most_of_tenant, now_ms)
        trim(client, collection, "", self._room.most, now_ms)


def make_collection(client: Client, name: str, dims: int) -> None:
    """Make it, unless it is there, and have it loaded."""
    if not client.has_collection(name, timeout=PATIENCE_S):
        kinds = import_module("pymilvus").DataType
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", kinds.VARCHAR, max_length=160, is_primary=True)
        schema.add_field("tenant", kinds.VARCHAR, max_length=64, is_partition_key=True)
        schema.add_field("conversation", kinds.VARCHAR, max_length=64)
        schema.add_field("until_ms", kinds.INT64)
        schema.add_field("turn", kinds.VARCHAR, max_length=16384)
        schema.add_field("vector", kinds.FLOAT_VECTOR, dim=dims)
        index = client.prepare_index_params()
        index.add_index(
            "vector",
            index_type="HNSW",
            metric_type="COSINE",
            params={"M": 16, "efConstruction": 128},
        )
        try:
            client.create_collection(name, schema=schema, index_params=index, timeout=PATIENCE_S)
        except Exception:
            if not client.has_collection(name, timeout=PATIENCE_S):
                raise  # else another worker was faster
    client.load_collection(name, timeout=PATIENCE_S)


def trim(client: Client, collection: str, which: str, most: int, now_ms: int) -> None:
    """Forget those that end first, beyond `most`: the time before which enough of them end is halved
    out, for Milvus does not sort."""
    low_ms, high_ms = now_ms, now_ms + LONGEST_MS
    excess = count(client, collection, f"{which}until_ms > {now_ms}") - most
    if excess <= 0:
        return
    while high_ms - low_ms > FINEST_MS:
        middle_ms = (low_ms + high_ms) // 2
        if count(client, collection, f"{which}until_ms <= {middle_ms}") < excess:
            low_ms = middle_ms
        else:
            high_ms = middle_ms
    client.delete(collection, filter=f"{which}until_ms <= {high_ms}", timeout=PATIENCE_S)


def count(client: Client, collection: str, which: str) -> int:
    rows = client.query(collection, filter=which, output_fields=["count(*)"], timeout=PATIENCE_S)
    said = rows[0]["count(*)"] if rows else 0
    return said if isinstance(said, int) else 0


def begins(place: str) -> str:
    """Name those whose key begins so."""
    return f"id like {quoted(place + '%')}" if place else "until_ms > 0"


def bound(key: str, until_ms: int) -> bytes:
    """What a sealed question cannot be taken away from."""
    return f"{key}\n{until_ms}".encode()


def quoted(text: str) -> str:
    """Raises: ValueError for what could end the quotes."""
    if not PLAIN.fullmatch(text.removesuffix("%")):
        raise ValueError("not for a filter")
    return f'"{text}"'
