import pytest

from extproc.epp.narrow import SELECTION_HEADER, Narrow
from extproc.request import Subset
from tests.extproc.requests import bare

ENGINES = {"10.0.0.1:80", "10.0.0.2:80"}


@pytest.mark.parametrize(
    ("header", "given", "subset"),
    [
        (None, None, None),
        (None, ("10.0.0.1:80",), ("10.0.0.1:80",)),
        ("10.0.0.1", None, ("10.0.0.1",)),
        ("10.0.0.1, 10.0.0.2:80,", None, ("10.0.0.1", "10.0.0.2:80")),
        ("10.0.0.2:22, 169.254.169.254:80,10.0.0.2:80", None, ("10.0.0.2:80",)),
        ("169.254.169.254:80", None, ()),
        ("10.0.0.7:80", ("10.0.0.7:80", "10.0.0.2:80"), ("10.0.0.7:80",)),
        ("10.0.0.1", ("10.0.0.1:80", "10.0.0.2:80"), ("10.0.0.1:80",)),
        ("10.0.0.3", ("10.0.0.1:80",), ()),
        ("", None, ()),
    ],
)
async def test_what_is_left(header, given, subset):
    request = bare(headers={} if header is None else {SELECTION_HEADER: header})
    if given is not None:
        request = request.having(Subset(given))
    found = (await Narrow(ENGINES.__contains__).decide(request)).find(Subset)
    assert (found and found.endpoints) == subset
