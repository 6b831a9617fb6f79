"""The texts of a request, found once for all filters that look through them."""

import asyncio
from collections.abc import Sequence

from extproc.dialects.body import Document
from extproc.dialects.texts import Text, find_texts
from extproc.request import Body, Fact, Operation, Prompt, Request

SIGNS = (b'"', b",", b"[", b"{")
MANY_SIGNS = 8_000
"""In a body: from here on texts are found in a thread, for that takes some milliseconds. A message has
eleven and those in its text; what has no text at all takes as long to walk through."""
MOST_KEPT = 10_000
"""Texts, 2 MB of them: of more, the places alone would fill memory for as long as an answer takes."""


class Texts(Fact, frozen=True):
    """What `read_texts` has found. Good for this very document: who changes it has another one."""

    document: Document
    found: Sequence[Text]


async def read_texts(request: Request) -> tuple[Request, Sequence[Text]]:
    """Find all texts of what would now be sent, unless somebody has before; return them with the
    request that knows them.

    Raises:
        TangledError: There is too much of it.
    """
    kind, document = request.fact(Operation).kind, request.fact(Prompt).document
    known = request.find(Texts)
    if known is not None and known.document is document:
        return request, known.found
    body = request.find(Body)
    if body is not None and sum(map(body.raw.count, SIGNS)) > MANY_SIGNS:
        found = await asyncio.to_thread(find_texts, kind, document)
    else:
        found = find_texts(kind, document)
    return (request.having(Texts(document, found)) if len(found) <= MOST_KEPT else request), found
