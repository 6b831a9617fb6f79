"""Calls to Milvus that never hold up a request: each has a deadline, and a breaker.

pymilvus's own client, in a few threads: its asyncio client cannot make collections everywhere. Importing
it takes 110 MB, which only workers pay whose policy names a Milvus.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from time import monotonic
from typing import Protocol, TypeVar, cast

import msgspec

from extproc.errors import QuestionsFaultError
from extproc.limits.breaker import Breaker
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

T = TypeVar("T")

THREADS = 4
"""Calls at the same time, of a worker: 400 searches a second where one takes 10 ms."""
PAUSE_S = 2.0
"""How long a Milvus that does not answer is left alone; then one request tries it."""
CONNECT_S = 5.0
PATIENCE_S = 10.0
"""For what no request waits for: making a collection, making room."""


class Where(msgspec.Struct, frozen=True):
    """A Milvus, and what to call there."""

    url: str
    token: str = ""
    database: str = ""
    collection: str = "headgate"
    deadline_s: float = 0.1

    def __repr__(self) -> str:
        return f"Where({self.url!r}, {self.collection!r})"


class Schema(Protocol):
    """What is used of `pymilvus.CollectionSchema`."""

    def add_field(self, field_name: str, datatype: object, **more: object) -> object: ...


class IndexParams(Protocol):
    def add_index(self, field_name: str, **more: object) -> object: ...


Row = Mapping[str, object]


class Client(Protocol):
    """What is used of `pymilvus.MilvusClient`, which has no types."""

    def list_collections(self, *, timeout: float) -> Sequence[str]: ...
    def has_collection(self, name: str, /, *, timeout: float) -> bool: ...
    def create_schema(self, **more: object) -> Schema: ...
    def prepare_index_params(self) -> IndexParams: ...
    def create_collection(self, name: str, /, **more: object) -> object: ...
    def load_collection(self, name: str, /, *, timeout: float) -> object: ...
    def upsert(self, name: str, /, data: Sequence[Row], *, timeout: float) -> object: ...
    def search(self, name: str, /, **more: object) -> Sequence[Sequence[Row]]: ...
    def query(self, name: str, /, **more: object) -> Sequence[Row]: ...
    def delete(self, name: str, /, **more: object) -> object: ...
    def close(self) -> None: ...


def connect(where: Where) -> Client:
    """Connect. Takes as long as importing pymilvus does, the first time: one second or two."""
    library = import_module("pymilvus")
    # It logs each fault with all tracebacks, and may say what was asked. Ours say it once.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)
    made = library.MilvusClient(
        uri=where.url, token=where.token, db_name=where.database, timeout=CONNECT_S
    )
    return cast("Client", made)


class MilvusLine:
    """Asks one Milvus. Connects in the background, when first asked."""

    def __init__(
        self,
        where: Where,
        connect: Callable[[Where], Client] = connect,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.where = where
        self._connect = connect
        self._clock = clock
        self._client: Client | None = None
        self._threads = ThreadPoolExecutor(THREADS, "milvus")
        self._beside = ThreadPoolExecutor(1, "milvus-beside")
        self._breaker = Breaker()
        self._again_s = 0.0
        self._prepared: dict[str, Future[None]] = {}

    async def call(self, ask: Callable[[Client], T], prepared: str) -> T:
        """Ask, when what is called so has been prepared. Raises: QuestionsFaultError."""
        if self._breaker.open and self._clock() < self._again_s:
            raise QuestionsFaultError("Milvus does not answer, and is left alone")
        self._again_s = self._clock() + PAUSE_S  # others wait for what becomes of this one
        try:
            found = await self._ask(ask, self._opened(prepared))
        except QuestionsFaultError as exc:
            if self._breaker.fault():
                log.warning(Event.QUESTIONS_DOWN, reason=str(exc))
            raise
        if self._breaker.well():
            log.warning(Event.QUESTIONS_BACK)
        return found

    async def prepare(self, name: str, job: Callable[[Client], None]) -> None:
        """Have it prepared, and wait for it. Raises: QuestionsFaultError."""
        self.begin(name, job)
        try:
            await asyncio.wrap_future(self._prepared[name])
        except Exception as exc:  # noqa: BLE001 - see `_ask`
            del self._prepared[name]
            raise fault(exc) from None

    def begin(self, name: str, job: Callable[[Client], None]) -> bool:
        """Have it prepared in the background, once; say whether it is over. Raises: QuestionsFaultError."""
        found = self._prepared.get(name)
        if found is None:
            found = self._prepared[name] = self._submit(lambda: job(self._connected()))
        return found.done()

    def beside(self, job: Callable[[Client], object]) -> None:
        """Do it in the background. When it goes wrong that is told of, and no more.
        Raises: QuestionsFaultError."""

        def try_it() -> None:
            try:
                job(self._connected())
            except Exception as exc:  # noqa: BLE001 - see `_ask`
                log.warning(Event.QUESTIONS_DOWN, reason=str(fault(exc)))

        self._submit(try_it)

    def close(self) -> None:
        """Waits for nobody: what is under way, or waits for a thread, ends by its own deadline."""
        self._threads.shutdown(wait=False)
        self._beside.submit(self._hang_up)
        self._beside.shutdown(wait=False)

    def _submit(self, job: Callable[[], None]) -> Future[None]:
        try:
            return self._beside.submit(job)
        except RuntimeError:
            raise QuestionsFaultError("it is closed") from None

    def _opened(self, prepared: str) -> Client:
        """Raises: QuestionsFaultError when what is to be prepared went wrong; it is tried again."""
        found = self._prepared[prepared]
        if (exc := found.exception()) is not None:
            del self._prepared[prepared]
            raise fault(exc)
        return self._connected()

    async def _ask(self, ask: Callable[[Client], T], client: Client) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.where.deadline_s):
                return await loop.run_in_executor(self._threads, ask, client)
        except TimeoutError:
            said = f"no answer within {self.where.deadline_s * 1000:g} ms"
            raise QuestionsFaultError(said) from None
        # pymilvus raises gRPC's errors, its own, and at times what its own mistakes raise: a cache
        # that cannot be asked is a miss, whatever the reason.
        except Exception as exc:  # noqa: BLE001
            raise fault(exc) from None

    def _connected(self) -> Client:
        if self._client is None:
            self._client = self._connect(self.where)
        return self._client

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()


def fault(exc: BaseException) -> QuestionsFaultError:
    """Say what it is, and never its text: that may hold what was asked."""
    code = getattr(exc, "code", None)
    said = code() if callable(code) else code
    return QuestionsFaultError(f"{type(exc).__name__} {said}" if said else type(exc).__name__)
