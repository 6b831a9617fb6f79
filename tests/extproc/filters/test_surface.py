"""Which operation is asked for: exactly the paths that engines serve, in exactly their spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.arrive import arrive
from extproc.decision import Deny
from extproc.errors import Reason
from extproc.filters.surface import Surface, find
from extproc.request import Kind, Operation, Request
from tests.extproc.requests import bare

URL, METHOD, MEDIA = Reason.UNKNOWN_URL, Reason.METHOD, Reason.MEDIA_TYPE


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/chat/completions", Operation(Kind.CHAT)),
        ("POST", "/v1/completions", Operation(Kind.COMPLETIONS)),
        ("POST", "/v1/embeddings", Operation(Kind.EMBEDDINGS)),
        ("POST", "/v1/responses", Operation(Kind.RESPONSES)),
        ("POST", "/v1/messages", Operation(Kind.MESSAGES)),
        ("POST", "/v1/messages/count_tokens", Operation(Kind.COUNT_TOKENS)),
        ("GET", "/v1/models", Operation(Kind.MODELS)),
        ("GET", "/v1/models/tiny", Operation(Kind.MODELS, "tiny")),
        ("GET", "/v1/models/org/tiny:1", Operation(Kind.MODELS, "org/tiny:1")),
        ("GET", "/v1/models/org%2Ftiny%3a1", Operation(Kind.MODELS, "org/tiny:1")),
        ("GET", "/v1/models/org%252Ftiny", Operation(Kind.MODELS, "org%2Ftiny")),
        ("GET", "/v1/models/%", Operation(Kind.MODELS, "%")),
        ("GET", "/headgate/v1/usage", Operation(Kind.USAGE)),
        ("HEAD", "/headgate/v1/usage", Operation(Kind.USAGE)),
        ("GET", "/headgate/v1/usage/", Operation(Kind.USAGE)),
        ("GET", "/headgate/v1/usage/requests", Operation(Kind.USAGE)),
        ("GET", "/headgate/v1/openapi.json", Operation(Kind.USAGE)),
        ("GET", "/v1/models/%ff%00", Operation(Kind.MODELS, "\N{REPLACEMENT CHARACTER}\x00")),
    ],
)
def test_what_is_served(method, path, operation):
    assert find(method, path) == operation


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("GET", "/v1/responses/resp_1", URL),
        ("POST", "/v1/responses/resp_1/cancel", URL),
        ("POST", "/v1/messages/", URL),
        ("POST", "/v1/messages/batches", URL),
        ("POST", "/v1/messages/count_tokens/", URL),
        ("POST", "/v1/complete", URL),
        ("GET", "/v1/responses", METHOD),
        ("GET", "/v1/messages", METHOD),
        ("DELETE", "/v1/messages/count_tokens", METHOD),
        ("POST", "/v1/chat/completions/", URL),
        ("POST", "/v1/chat/completions/x", URL),
        ("POST", "/V1/chat/completions", URL),
        ("POST", "/v1/chat/Completions", URL),
        ("POST", "/v1//chat/completions", URL),
        ("POST", "//v1/chat/completions", URL),
        ("POST", "/v1/chat%2Fcompletions", URL),
        ("POST", "/v1/chat/completions;x", URL),
        ("POST", "/v1/x/../chat/completions", URL),
        ("POST", "/v1/chat/completions\x00", URL),
        ("POST", "v1/chat/completions", URL),
        ("POST", "", URL),
        ("GET", "/", URL),
        ("GET", "/v1", URL),
        ("GET", "/v1/models/", URL),
        ("GET", "/v1/modelsx", URL),
        ("GET", "/headgate", URL),
        ("GET", "/headgate/v1", URL),
        ("GET", "/headgate/v1/", URL),
        ("GET", "/headgate/v1/usagex", URL),
        ("GET", "/headgate/v1/usage%2Frequests", URL),
        ("GET", "/headgate/v1/Usage", URL),
        ("GET", "/headgate/v2/usage", URL),
        ("POST", "/headgate/v1/usage", METHOD),
        ("DELETE", "/headgate/v1/usage/requests", METHOD),
        ("OPTIONS", "/headgate/v1/usage", METHOD),
        ("GET", "/metrics", URL),
        ("GET", "/health", URL),
        ("OPTIONS", "*", URL),
        ("GET", "/v1/chat/completions", METHOD),
        ("PUT", "/v1/completions", METHOD),
        ("post", "/v1/completions", METHOD),
        ("", "/v1/embeddings", METHOD),
        ("HEAD", "/v1/models", METHOD),
        ("POST", "/v1/models", METHOD),
        ("DELETE", "/v1/models/tiny", METHOD),
    ],
)
def test_what_is_not(method, path, reason):
    denied = find(method, path)
    assert isinstance(denied, Deny)
    assert denied.reason is reason
    assert denied.param is None


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/m", "GET"),
        ("GET", "/v1/embeddings", "POST"),
        ("PUT", "/headgate/v1/usage", "GET, HEAD"),
    ],
)
def test_a_refusal_says_what_would_be_right(method, path, right):
    denied = find(method, path)
    assert f"takes {right.replace(', ', ' or ')}, not {method}." in denied.message
    assert denied.allow == right


def test_an_unknown_url_has_no_right_method():
    assert find("POST", "/v1/x").allow == ""


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/" + "x" * 60_000),
        ("POST", "/v1/models/" + "x" * 60_000),
        ("M" * 60_000, "/v1/completions"),
        ("M" * 60_000, "/v1/x"),
    ],
)
def test_what_is_repeated_of_a_request_is_bounded(method, path):
    assert len(find(method, path).message) < 300


async def decide(path="/v1/completions", method="POST", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await Surface().decide(bare(method=method, path=path, headers=named))


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=utf-8",
        "APPLICATION/JSON",
        " application/json ;x=y",
        "",
    ],
)
async def test_json_by_any_spelling(content_type):
    found = await decide(content_type=content_type)
    assert found.fact(Operation).kind is Kind.COMPLETIONS


async def test_no_content_type_is_taken_for_json():
    assert (await decide()).fact(Operation)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/jsonp",
        "application/json-patch+json",
        "application/json,application/json",
        "application/json, text/plain",
        "json",
        "\u00e9" * 60_000,
    ],
)
async def test_other_media_types_are_refused(content_type):
    denied = await decide(content_type=content_type)
    assert (denied.reason, denied.param) == (MEDIA, "content-type")
    assert len(denied.message) < 200


@pytest.mark.parametrize("encoding", ["identity", "Identity"])
async def test_a_body_that_is_as_it_is(encoding):
    assert (await decide(content_encoding=encoding)).fact(Operation)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "identity,gzip", "gzip, identity", "x"])
async def test_a_packed_body_is_refused(encoding):
    denied = await decide(content_encoding=encoding)
    assert (denied.reason, denied.param) == (MEDIA, "content-encoding")


@pytest.mark.parametrize("path", ["/v1/models", "/headgate/v1/usage"])
async def test_where_no_body_is_read_its_headers_do_not_matter(path):
    found = await decide(path, "GET", content_type="text/plain", content_encoding="gzip")
    assert found.fact(Operation).kind in {Kind.MODELS, Kind.USAGE}


async def test_an_unknown_url_is_told_before_a_wrong_media_type():
    assert (await decide("/v1/x", content_type="text/plain")).reason is URL
    assert (await decide(method="GET", content_type="text/plain")).reason is METHOD


@given(
    st.text(st.characters(max_codepoint=255), max_size=10),
    st.text(st.characters(max_codepoint=255), max_size=20)
    | st.sampled_from(["/v1/models/", "/v1/completions"]),
    st.dictionaries(
        st.sampled_from(["content-type", "content-encoding"]),
        st.text(st.characters(max_codepoint=255)),
    ),
)
async def test_any_request_is_known_or_refused(method, path, headers):
    found = await Surface().decide(bare(method=method, path=path, headers=headers))
    if isinstance(found, Deny):
        assert found.reason in {URL, METHOD, MEDIA}
    else:
        assert (method, path) == ("POST", "/v1/completions")


@pytest.mark.parametrize("length", ["16777217", "1000000000000", "9" * 5000])
async def test_a_body_announced_too_large_is_refused_before_it_comes(length):
    headers = [(":method", "POST"), (":path", "/v1/completions"), ("content-length", length)]
    decision = await Surface().decide(arrive(headers))
    assert (decision.reason, decision.param) == (Reason.TOO_LARGE, "content-length")


@pytest.mark.parametrize("length", ["0", "16777216", "nonsense", ""])
async def test_other_lengths_are_left_to_envoy(length):
    headers = [(":method", "POST"), (":path", "/v1/completions"), ("content-length", length)]
    assert isinstance(await Surface().decide(arrive(headers)), Request)
