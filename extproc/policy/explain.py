"""Decision records: of whose requests it is written down why they went where they went."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from extproc.policy.base import Strict, Word


class ExplainPolicy(Strict):
    """A record tells endpoints and their load, never what a prompt says. It costs tens of
    microseconds, so nobody gets one who has not asked, or was drawn."""

    tenants: tuple[
        Word | Literal["*"], ...
    ] = ()  # whose `x-headgate-explain: true` is heeded; * is all
    sample: Annotated[FiniteFloat, Field(gt=0, le=1)] | None = None  # share of all, asked or not
