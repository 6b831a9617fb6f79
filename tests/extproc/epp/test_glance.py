import pytest

from extproc.epp.adopt import Adopt
from extproc.epp.glance import Glance
from extproc.filters.prefix import Prefix, Prefixing
from extproc.request import Body
from tests.extproc.requests import bare

LONG = b'{"model": "m", "prompt": "' + b"word " * 500 + b'"}'


async def glance(raw):
    adopted = await Adopt("p").decide(bare().having(Body(raw)))
    return (await Glance(Prefixing()).decide(adopted)).find(Prefix)


async def test_a_prompt_has_a_beginning():
    assert (await glance(LONG)).blocks


@pytest.mark.parametrize("raw", [b"", b"no json", LONG[:-1], b'{"model": "m"}'])
async def test_what_is_no_prompt_has_none(raw):
    assert await glance(raw) is None
