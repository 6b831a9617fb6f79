"""The table of sidecars: whose path it is, and that all who follow it agree."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from dataplane.gateway import Sidecar
from extproc.cli.layout import Layout
from extproc.request import Kind
from extproc.sidecars import SIDECARS, find_sidecar
from sidecars.ledger.app import make_app
from sidecars.ledger.reader import DEADLINE_S, Books
from sidecars.ledger.turns import WAIT_S


@pytest.mark.parametrize(
    "path", ["/headgate/v1/usage", "/headgate/v1/usage/", "/headgate/v1/usage/x"]
)
def test_a_path_and_all_below_it(path):
    assert find_sidecar(path).kind is Kind.USAGE


@pytest.mark.parametrize("path", ["", "/", "/headgate/v1", "/headgate/v1/usages", "/v1/usage"])
def test_other_paths(path):
    assert find_sidecar(path) is None


@pytest.mark.parametrize("what", ["name", "kind", "pool", "paths"])
def test_each_stands_once(what):
    values = [getattr(each, what) for each in SIDECARS]
    assert len({*values}) == len(values)


@pytest.mark.parametrize("sidecar", SIDECARS, ids=lambda each: each.name)
def test_who_follows_the_table(sidecar):
    socket = Layout(Path("/srv")).sidecar_socket(sidecar.name)
    assert Sidecar(sidecar.name, socket, sidecar.timeout_s).pool == sidecar.pool
    assert find_spec(f"sidecars.{sidecar.name}.__main__")


def test_the_usage_api_has_its_paths_and_its_time():
    sidecar = find_sidecar("/headgate/v1/usage")
    app = make_app(Books("nowhere"))
    assert all(sidecar.owns(path) for path in (*app.openapi()["paths"], app.openapi_url))
    assert sidecar.timeout_s > WAIT_S + DEADLINE_S
