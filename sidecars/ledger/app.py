"""Paths, and what they answer."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from sidecars.common.errors import install
from sidecars.common.head import Head
from sidecars.common.identity import Identity, identity_of
from sidecars.ledger.answers import choose_form, respond
from sidecars.ledger.dimensions import Dimensions, dimensions
from sidecars.ledger.openapi import ERRORS, answers, describe
from sidecars.ledger.pages import read_page
from sidecars.ledger.parameters import RequestParameters
from sidecars.ledger.reader import Books
from sidecars.ledger.requests import RequestsPage, list_requests
from sidecars.ledger.turns import Turns
from sidecars.ledger.usage import UsagePage, UsageParameters, sum_up

BASE = "/headgate/v1"

Who = Annotated[Identity, Depends(identity_of)]


def utc_now() -> datetime:
    return datetime.now(UTC)


def make_app(books: Books, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """`clock` tells what "now" is."""
    app = FastAPI(
        title="Headgate usage",
        version="1",
        openapi_url=f"{BASE}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    service = Service(books, clock)
    app.add_api_route(
        f"{BASE}/usage",
        service.usage,
        summary="Sum up usage by any dimensions and steps of time",
        responses=answers(UsagePage),
    )
    app.add_api_route(
        f"{BASE}/usage/dimensions",
        service.dimensions,
        summary="List what usage can be grouped and filtered by",
        responses=dict(ERRORS),
    )
    app.add_api_route(
        f"{BASE}/usage/requests",
        service.requests,
        summary="List single requests, the latest first",
        responses=answers(RequestsPage),
    )
    install(app)
    app.add_middleware(Head)
    describe(app)
    return app


class Service:
    """What is behind the paths."""

    def __init__(self, books: Books, clock: Callable[[], datetime]) -> None:
        self._books = books
        self._clock = clock
        self._turns = Turns()

    async def requests(
        self, request: Request, who: Who, asked: Annotated[RequestParameters, Query()]
    ) -> Response:
        page = read_page(request, who, asked, self._clock())
        reader, conditions, ids = self._books.scoped(who), asked.conditions(who), asked.ids()
        answer = await self._turns.take(
            who.tenant, lambda: list_requests(reader, page, conditions, ids)
        )
        return respond(request, choose_form(request, asked.format), answer)

    async def usage(
        self, request: Request, who: Who, asked: Annotated[UsageParameters, Query()]
    ) -> Response:
        page = read_page(request, who, asked, self._clock())
        reader, question = self._books.scoped(who), asked.question(who, page.period)
        by_name = asked.order == "name"
        answer = await self._turns.take(
            who.tenant, lambda: sum_up(reader, page, question, by_name=by_name)
        )
        return respond(request, choose_form(request, asked.format), answer)

    async def dimensions(self, who: Who) -> Dimensions:
        return dimensions(who)
