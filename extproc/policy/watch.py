"""Reload: notice that the policy's files changed, and swap when what they say can be served."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from extproc.errors import PolicyError
from extproc.policy.load import Sources, load_sources, read_all, version_of
from extproc.policy.models import Policy
from extproc.policy.withdrawn import count_withdrawn, withdrawn
from extproc.settings import POLL_INTERVAL_S
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

CONFIRM_S = 0.05
"""How soon the second look comes. Whoever writes a file is done by then, and a directory that was
swapped while it was read shows itself."""

FIRST_PAUSE, MOST_PAUSE = 10, 1280
"""Looks before files that could not be served are tried again: what they refer to (a secret, a vocabulary) may be there
by now, or room on the disk. Each pause is twice as long as the one before: most mistakes are in the files themselves."""

Reject = Callable[[PolicyError, str], None]


class Watch:
    """Follows the directories. A change counts when two looks in a row see the same, so that a file
    half written, or half of a directory's files, is never in force."""

    def __init__(
        self,
        directories: Sequence[Path],
        in_force: Policy,
        swap: Callable[[Policy], None],
        reject: Reject = lambda _error, _version: None,
        load: Callable[[Sources], Policy] = load_sources,
        ready: Callable[[Policy], Awaitable[None]] | None = None,
    ) -> None:
        """`in_force` is so at first. `swap` gets every new policy that loads, and may raise
        PolicyError; `reject` gets, once, what is wrong with one that does not, and its version
        (empty when the files cannot even be read). `load` reads what a policy refers to as well;
        what changes there alone is not noticed, unless it was missing. `ready` returns when a policy may be swapped in; one
        whose files change meanwhile never is. While it waits, `swap` gets the one in force, less the
        identities that the new one takes away, if there are any."""
        self._directories = directories
        self._in_force = in_force
        self._judged = self._noticed = in_force.version
        self._refused = self._complaint = ""
        self._pause = self._left = 0
        self._swap = swap
        self._reject = reject
        self._load = load
        self._ready = ready

    async def run(self, interval_s: float = POLL_INTERVAL_S) -> None:
        """Look for ever."""
        while True:
            unsure = self._noticed != self._judged
            await asyncio.sleep(min(interval_s, CONFIRM_S) if unsure else interval_s)
            await self.look()

    async def look(self) -> None:
        """Look once. What does not load changes nothing."""
        try:
            sources = read_all(self._directories)
        except PolicyError as exc:
            if self._is_news(str(exc)):
                self._refuse(exc, "")
            return
        version = version_of(sources)
        if self._is_news(version) or self._is_due_again(version):
            await self._take(sources, version)

    def _is_news(self, seen: str) -> bool:
        """Whether this, a version or a complaint, is new and has been seen twice."""
        before, self._noticed = self._noticed, seen
        if seen == self._judged or seen != before:
            return False
        self._judged = seen
        self._refused = self._complaint = ""
        return True

    def _is_due_again(self, version: str) -> bool:
        """Whether a version that was refused has waited long enough."""
        if version != self._refused:
            return False
        self._left -= 1
        return self._left <= 0

    async def _take(self, sources: Sources, version: str) -> None:
        try:
            # In a thread: a thousand keys take a quarter of a second, and requests are waiting.
            policy = await asyncio.to_thread(self._read, sources)
            if self._ready and not await self._is_ready(self._ready(policy), policy):
                self._judged = ""  # whatever the files say now is news
                return
            self._put(policy)
        except PolicyError as exc:
            self._refuse(exc, version)
        except Exception as exc:  # noqa: BLE001 - whatever it is, what is in force goes on
            self._refuse(PolicyError(f"{type(exc).__name__}: {exc}"), version)
        else:
            self._refused = ""
            log.info(Event.POLICY_LOADED, policy=version)

    def _read(self, sources: Sources) -> Policy:
        """Load while the garbage collector rests: it walks over all of what is read, again and again, and nothing
        else runs in the process meanwhile. With 20 000 keys requests waited for 0.3 to 0.8 s, and so for 0.07 s."""
        was_on = gc.isenabled()
        gc.disable()
        try:
            return self._load(sources)
        finally:
            if was_on:
                gc.enable()

    async def _is_ready(self, ready: Awaitable[None], policy: Policy) -> bool:
        """Wait for it; False when the files say something else by then."""
        waiting = asyncio.ensure_future(ready)  # noqa: TID251 - raced, then awaited below
        try:
            await asyncio.sleep(0)  # what need not wait is done by then
            if not waiting.done():
                await self._withdraw(policy)
            while not waiting.done() and not self._is_over(policy.version):
                await asyncio.wait({waiting}, timeout=POLL_INTERVAL_S)
            if waiting.done():
                await waiting
            return waiting.done() and not self._is_over(policy.version)
        finally:
            waiting.cancel()

    async def _withdraw(self, policy: Policy) -> None:
        """Put in force what a policy that waits takes away. It stays so whatever becomes of the policy: what
        is taken away comes back with one that has it, and need not wait itself."""
        before = self._in_force
        try:
            left = await asyncio.to_thread(withdrawn, before, policy)
            if left is not before:
                self._put(left)
                count = await asyncio.to_thread(count_withdrawn, before, left)
                log.info(Event.POLICY_NARROWED, policy=left.version, identities=count)
        except Exception as exc:  # noqa: BLE001 - no reason to refuse what waits
            log.error(Event.POLICY_NOT_NARROWED, exc, policy=policy.version)

    def _put(self, policy: Policy) -> None:
        self._swap(policy)
        self._in_force = policy

    def _is_over(self, version: str) -> bool:
        try:
            return version_of(read_all(self._directories)) != version
        except PolicyError:
            return False

    def _refuse(self, error: PolicyError, version: str) -> None:
        is_again = version == self._refused
        self._pause = min(2 * self._pause, MOST_PAUSE) if is_again else FIRST_PAUSE
        self._refused, self._left = version, self._pause
        if str(error) == self._complaint:
            return
        self._complaint = str(error)
        log.error(Event.POLICY_REJECTED, error=str(error), policy=version)
        self._reject(error, version)
