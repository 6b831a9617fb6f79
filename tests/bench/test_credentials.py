"""Every credential that is measured is accepted, and names who it stands for."""

import pytest

from bench.credentials import cases
from extproc.request import Identity


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
async def test_accepted(case):
    identity = (await case.identify.decide(case.request)).fact(Identity)
    assert identity.tenant == "acme"
    assert identity.key_id == ("key-7" if case.name == "API key" else "jwt:sso")
