"""Secrets: found where the policy says, or a mistake with file and line; shown nowhere."""

import logging

import pytest

from extproc.errors import PolicyError
from extproc.identity.keys import digest
from extproc.policy.base import Secret
from extproc.policy.load import load
from extproc.policy.secrets import SecretError, SecretReader
from extproc.policy.tables import key_source

LONG = "a-token-that-nobody-can-guess"
ENVIRONMENT = {"LONG": LONG, "SHORT": "too-short", "EMPTY": "", "TWO": "two words of a secret"}
POLICY = """\
tenants: [{name: acme}]
keys: [{id: k, digest: DIGEST, tenant: acme}]
services:
  - name: rag
    token: {env: LONG}
  - name: agents
    token: TOKEN
"""


@pytest.fixture
def reader(tmp_path):
    mounts = tmp_path / "mounts"
    (mounts / "headgate-services").mkdir(parents=True)
    (mounts / "headgate-services" / "agents").write_text(f"{LONG}-2\n")
    return SecretReader(ENVIRONMENT, mounts)


def read(tmp_path, token, reader, salted=""):
    directory = tmp_path / "policy"
    directory.mkdir()
    key = digest("headgate", salted or "sk-1")
    (directory / "a.yaml").write_text(POLICY.replace("TOKEN", token).replace("DIGEST", key))
    return load([directory], reader)


def test_from_everywhere(tmp_path, reader):
    path = tmp_path / "token"
    path.write_text("from-a-file\n")
    assert reader.read(Secret(env="LONG")) == LONG
    assert reader.read(Secret(file=path)) == "from-a-file"
    assert reader.read(Secret(kubernetes="headgate-services/agents")) == f"{LONG}-2"


def test_a_policy_finds_its_secrets(tmp_path, reader):
    policy = read(tmp_path, "{kubernetes: headgate-services/agents}", reader)
    assert [service.token.reveal() for service in policy.services] == [LONG, f"{LONG}-2"]
    assert key_source(policy).find(digest("headgate", LONG)).name == "rag"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("{env: NOWHERE}", "NOWHERE is missing or empty"),
        ("{env: EMPTY}", "EMPTY is missing or empty"),
        ("{env: TWO}", "TWO is not one word of printable ASCII"),
        ("{env: SHORT}", "it is shorter than 20 characters"),
        ("{env: LONG}", "another service or key has the same"),
        ("{file: /nowhere/at/all}", "/nowhere/at/all is missing or empty"),
        ("{file: /}", "Is a directory"),
        ("{kubernetes: headgate-services/nothing}", "nothing is missing or empty"),
    ],
)
def test_what_is_wrong_with_a_secret_has_a_place(tmp_path, reader, token, said):
    with pytest.raises(PolicyError) as raised:
        read(tmp_path, token, reader)
    assert "a.yaml:7: services[1].token: " in str(raised.value)
    assert said in str(raised.value)
    assert LONG not in str(raised.value)


def test_a_service_may_not_have_the_secret_of_a_key(tmp_path, reader):
    with pytest.raises(PolicyError, match="another service or key has the same"):
        read(tmp_path, "{kubernetes: headgate-services/agents}", reader, salted=f"{LONG}-2")


def test_a_file_that_is_no_text(tmp_path, reader):
    path = tmp_path / "token"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError, match="printable"):
        reader.read(Secret(file=path))


def test_a_secret_is_shown_nowhere(tmp_path, reader, caplog):
    policy = read(tmp_path, "{kubernetes: headgate-services/agents}", reader)
    logging.getLogger(__name__).warning("%r", policy)
    shown = f"{policy!r} {policy} {policy.model_dump()} {policy.model_dump_json()} {caplog.text}"
    assert LONG not in shown


def test_without_a_reader_a_policy_is_only_to_be_looked_at(tmp_path):
    policy = read(tmp_path, "{env: NOWHERE}", None)
    assert policy.services[1].name == "agents"
    with pytest.raises(PolicyError, match="without its secrets"):
        policy.services[1].token.reveal()
