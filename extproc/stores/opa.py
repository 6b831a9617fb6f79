"""Open Policy Agent over HTTP: `ports.Authority` for the policy's `access.authority`.

Source: OPA's REST API, "Data API, Get a Document (with Input)".
"""

import asyncio

import aiohttp
import msgspec

from extproc.access import nest
from extproc.conditions import Known
from extproc.errors import AuthorityError
from extproc.http_client import AnswerError, HttpClient
from extproc.policy.access import AuthorityPolicy
from extproc.ports import Ruling

MAX_BYTES = 64 * 1024
"""Of an answer, which is a yes or no with a sentence."""
REASON_LENGTH = 500
"""Characters of a reason that a client is shown."""
TRIES = 2
"""An idle connection may be closed by the other side just when it is used again."""


class _Verdict(msgspec.Struct):
    allow: bool
    reason: str | None = None


class _Answer(msgspec.Struct):
    result: bool | _Verdict | msgspec.UnsetType = msgspec.UNSET


class OpaClient(HttpClient):
    """For all authorities of all policy versions."""

    def at(self, policy: AuthorityPolicy) -> "OpaAuthority":
        """Reach the authority that a policy names."""
        return OpaAuthority(self, policy)


class OpaAuthority:
    """Implements `ports.Authority`."""

    def __init__(self, client: OpaClient, policy: AuthorityPolicy) -> None:
        self._client = client
        self._url = str(policy.url)
        self._deadline_s = policy.deadline_ms / 1000
        token = policy.token.reveal() if policy.token else ""
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    async def ask(self, known: Known) -> Ruling:
        body = msgspec.json.encode({"input": nest(known)})
        try:
            async with asyncio.timeout(self._deadline_s):
                return read(await self._post(body, TRIES))
        except TimeoutError:
            raise AuthorityError(f"no answer within {self._deadline_s * 1000:g} ms") from None
        except (AnswerError, aiohttp.ClientError, OSError) as exc:
            raise AuthorityError(str(exc) or type(exc).__name__) from None

    async def _post(self, body: bytes, tries: int) -> bytes:
        try:
            return await self._client.post(self._url, body, MAX_BYTES, self._headers)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            if tries <= 1:
                raise
        return await self._post(body, tries - 1)


def read(raw: bytes) -> Ruling:
    """Understand an answer. OPA leaves `result` out when no rule of its policy applies: nobody has
    allowed it then, so it is refused, and no fault.

    Raises:
        AuthorityError: It is something else.
    """
    try:
        result = msgspec.json.decode(raw, type=_Answer).result
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise AuthorityError(f"answered no ruling: {exc}") from None
    if isinstance(result, _Verdict):
        return Ruling(result.allow, (result.reason or "")[:REASON_LENGTH])
    return Ruling(result is True)
