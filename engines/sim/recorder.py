"""What an engine was sent, written down: one JSON line for each request, before it is read.

The only witness of what gets as far as an engine, and which headers come with it.
"""

from collections.abc import Callable, Mapping
from typing import BinaryIO

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


class Sent(msgspec.Struct, frozen=True):
    """One request. Header names are in small letters; of those that come twice the last one counts.
    What is no UTF-8 is replaced."""

    path: str
    headers: Mapping[str, str]
    body: str


def recording(file: BinaryIO) -> Middleware:
    """Write each POST to a file, which must not be buffered: others read it meanwhile."""

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "POST":
            raw = await request.read()  # kept by aiohttp: the operation reads the same bytes
            headers = {
                name.decode().lower(): value.decode("utf-8", "replace")
                for name, value in request.raw_headers
            }
            sent = Sent(request.path_qs, headers, raw.decode("utf-8", "replace"))
            file.write(encode(sent) + b"\n")
        return await handler(request)

    return record


encode: Callable[[Sent], bytes] = msgspec.json.Encoder().encode
