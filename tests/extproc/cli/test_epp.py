"""`headgate epp`: what is said of endpoints that are none."""

import pytest

from extproc.cli.epp import read_source
from extproc.cli.layout import Layout


@pytest.mark.parametrize("endpoints", ["", "foo", "127.0.0.1", "127.0.0.1:8000,", "a:b"])
def test_endpoints_that_are_none(tmp_path, endpoints):
    with pytest.raises(ValueError, match=r"^--endpoints: .* is not HOST:PORT,HOST:PORT$"):
        read_source(Layout(tmp_path), None, endpoints, "pool", "vllm")


def test_endpoints_are_told_once(tmp_path):
    source = read_source(Layout(tmp_path), None, "127.0.0.1:8000, 127.0.0.1:8000", "pool", "vllm")
    assert source.given is not None
    assert source.given.pools[0].endpoints == ("127.0.0.1:8000",)
