"""Errors of a sidecar look like the gateway's own."""

from typing import Annotated

import httpx
import msgspec
import pytest
from fastapi import FastAPI, Query

from extproc.errors import Reason
from sidecars.common.errors import MAX_SHOWN, Code, Refusal, error_response, install


def make_app():
    app = FastAPI(redirect_slashes=False)

    @app.get("/x")
    def found(number: Annotated[int, Query(ge=0)] = 0):
        if number == 13:
            raise Refusal(Code.BUSY, "Later.", retry_after_s=3)
        return 1 // number

    install(app)
    return app


async def get(path, method="GET", **options):
    transport = httpx.ASGITransport(make_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.request(method, path, **options)


@pytest.mark.parametrize(
    ("method", "path", "code", "param"),
    [
        ("GET", "/x?number=y", Code.INVALID_REQUEST, "number"),
        ("GET", "/x?number=-1", Code.INVALID_REQUEST, "number"),
        ("GET", "/x/", Code.UNKNOWN_URL, None),
        ("GET", "/" + "y" * 500, Code.UNKNOWN_URL, None),
        ("POST", "/x", Code.METHOD, None),
        ("GET", "/x?number=13", Code.BUSY, None),
        ("GET", "/x?number=0", Code.FAULT, None),
    ],
)
async def test_every_error_has_one_shape(method, path, code, param):
    answer = await get(path, method)
    assert answer.status_code == code.status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    (name, error), *others = answer.json().items()
    assert (name, others) == ("error", [])
    assert error.pop("message")
    assert error == {"type": code.type, "param": param, "code": code.code}
    assert len(answer.text) < MAX_SHOWN + 200


async def test_what_to_do_about_it():
    assert (await get("/x", "PUT")).headers["allow"] == "GET, HEAD"
    assert (await get("/x?number=13")).headers["retry-after"] == "3"


async def test_a_fault_tells_nothing_of_itself():
    assert "ZeroDivision" not in (await get("/x?number=0")).text


def test_codes_that_the_gateway_has_too_mean_the_same():
    theirs = {reason.value.code: reason.value for reason in Reason}
    shared = [code for code in Code if code.code in theirs]
    assert len(shared) >= 4
    for code in shared:
        kind = theirs[code.code]
        assert (code.status, code.type) == (kind.status, kind.type)


def test_a_message_is_text_whatever_it_holds():
    body = error_response(Refusal(Code.INVALID_REQUEST, '"\n\u2028</script>', "p")).body
    assert msgspec.json.decode(body)["error"]["message"] == '"\n\u2028</script>'
