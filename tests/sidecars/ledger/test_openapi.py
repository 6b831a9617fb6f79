"""The published document: what is FastAPI's own way and not ours is not in it."""

import json

from sidecars.ledger.app import make_app
from sidecars.ledger.reader import Books


def document():
    return make_app(Books("nowhere")).openapi()


def test_errors_are_ours_alone():
    text = json.dumps(document())
    assert "HTTPValidationError" not in text
    assert "422" not in text
    for path in document()["paths"].values():
        assert {"200", "400", "403", "503", "504"} <= set(path["get"]["responses"])


def test_how_to_say_who_asks():
    assert document()["security"] == [{"bearer": []}, {"key": []}]
    assert set(document()["components"]["securitySchemes"]) == {"bearer", "key"}


def test_it_is_made_once():
    app = make_app(Books("nowhere"))
    assert app.openapi() is app.openapi()


def test_every_path_is_below_the_gateways():
    assert {path.rpartition("/usage")[0] for path in document()["paths"]} == {"/headgate/v1"}
