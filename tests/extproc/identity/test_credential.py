"""Exactly one credential, in a header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.identity.credential import (
    MAX_CREDENTIAL_BYTES,
    PARAMETERS,
    find_credential,
    has_credential_in_query,
)


def reason(headers):
    found = find_credential(headers)
    return found.reason if isinstance(found, Deny) else found


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"authorization": ""}, None),
        ({"x-api-key": ""}, None),
        ({"cookie": "sk-1", "api-key": "sk-1", "proxy-authorization": "Bearer sk-1"}, None),
        ({"authorization": "Bearer sk-1"}, "sk-1"),
        ({"authorization": "bEaReR   sk-1  "}, "sk-1"),
        ({"x-api-key": "sk-1"}, "sk-1"),
        ({"x-api-key": " sk-1 "}, "sk-1"),
        ({"x-api-key": "sk-1", "authorization": ""}, "sk-1"),
        ({"x-api-key": "Bearer sk-1"}, "Bearer sk-1"),
        ({"x-api-key": "sk-1,sk-1"}, "sk-1,sk-1"),
        ({"authorization": "Basic sk-1"}, Reason.INVALID_KEY),
        ({"authorization": "sk-1"}, Reason.INVALID_KEY),
        ({"authorization": "Bearer\tsk-1"}, Reason.INVALID_KEY),
        ({"authorization": "Bearer sk-1", "x-api-key": "sk-1"}, Reason.TWO_CREDENTIALS),
        ({"authorization": "Bearer sk-1", "x-api-key": "sk-2"}, Reason.TWO_CREDENTIALS),
        ({"authorization": "Basic x", "x-api-key": "sk-1"}, Reason.TWO_CREDENTIALS),
        ({"authorization": "Bearer " + "x" * MAX_CREDENTIAL_BYTES}, "x" * MAX_CREDENTIAL_BYTES),
        ({"authorization": "Bearer x" + "x" * MAX_CREDENTIAL_BYTES}, Reason.INVALID_KEY),
        ({"x-api-key": "x" * (MAX_CREDENTIAL_BYTES + 1)}, Reason.INVALID_KEY),
    ],
)
def test_headers(headers, expected):
    assert reason(headers) == expected


@pytest.mark.parametrize(
    "query",
    [
        *(f"{name}=sk-1" for name in sorted(PARAMETERS)),
        "API_KEY=sk-1",
        "Key=sk-1",
        "api%5Fkey=sk-1",
        "%61pi_key=sk-1",
        "+key=sk-1",
        "x=1&api_key=sk-1",
        "x=1;api_key=sk-1",
        "api_key",
        "api_key=",
        "&&key=&",
        "x?key=1&key=2",
    ],
)
def test_a_credential_in_the_url_never_counts(query):
    path = {":path": f"/v1/models?{query}"}
    assert reason(path) is Reason.MISSING_KEY
    assert reason({**path, "authorization": "Bearer sk-1"}) is Reason.TWO_CREDENTIALS
    assert reason({**path, "x-api-key": "sk-1"}) is Reason.TWO_CREDENTIALS


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/v1/models",
        "/v1/models?",
        "/v1/models?beta=true",
        "/v1/models?limit=3&after=key",
        "/v1/models?keys=1",
        "/v1/models?monkey=1",
        "/v1/key=1",
        "/v1/models?a%26key=1",
    ],
)
def test_other_parameters_are_nobodys_business(target):
    assert not has_credential_in_query(target)
    assert reason({":path": target, "authorization": "Bearer sk-1"}) == "sk-1"


@given(
    st.dictionaries(
        st.sampled_from(["authorization", "x-api-key", ":path"]),
        st.text(st.characters(max_codepoint=255), max_size=30),
    )
)
def test_what_is_found_stood_in_a_header(headers):
    found = find_credential(headers)
    if isinstance(found, str):
        given_in = [headers.get("authorization", ""), headers.get("x-api-key", "")]
        assert any(found in value for value in given_in)
