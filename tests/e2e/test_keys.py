"""`headgate keys` as an operator uses it: on the policy's files, while the gateway serves."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise

import pytest
import yaml
from typer.testing import CliRunner

from extproc.cli.commands import COMMANDS, build
from extproc.identity.keys import digest
from extproc.policy.models import Policy
from tests.e2e.conftest import ACME, GLOBEX, ROOT, running, wait_for

DEMO = ROOT / "extproc" / "policy" / "demo"


def headgate(*arguments):
    return CliRunner().invoke(build(COMMANDS), list(map(str, arguments)))


def keys(*arguments):
    return headgate("keys", *arguments)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path):
    """What is recorded of a command goes below where it is typed, unless it is told otherwise."""
    with contextlib.chdir(tmp_path):
        yield


def audited(gateway, action):
    done = headgate("audit", "search", "--action", action, "--json", "--state", gateway.state)
    return json.loads(done.stdout)


@pytest.fixture
def directory(tmp_path):
    return shutil.copytree(DEMO, tmp_path / "policy")


def shown(done):
    assert done.exit_code == 0, done.stderr
    return re.search(r"shown this once: (sk-headgate-\S+)", done.stderr)[1]


def listed(directory):
    done = keys("list", "--policy", directory, "--json")
    assert done.exit_code == 0, done.stderr
    return {row["id"]: row for row in json.loads(done.stdout)}


def test_a_life_of_a_key(directory, tmp_path):
    with running(tmp_path / "s", "--policy", str(directory), "--workers", "1") as gateway:

        def status(key):
            with gateway.http(key) as http:
                return http.get("/v1/models").status_code

        def wait_for_changes(count):
            """`up` looks at the files as the worker does, a moment sooner or later."""
            return wait_for(
                lambda: len(found := audited(gateway, "policy.changed")) == count and found,
                what="a record of the policy",
            )

        options = (
            "--project",
            "search",
            "--user",
            "bob",
            "--expires",
            "90d",
            "--cidr",
            "127.0.0.0/8",
        )
        here = ("--policy", directory, "--state", gateway.state)
        first = shown(keys("new", "bob", "--tenant", "acme", *options, *here))
        wait_for(lambda: status(first) == 200, what="the new key")
        wait_for_changes(1)

        second = shown(keys("rotate", "bob", *here, "--overlap", "1h"))
        wait_for(lambda: status(second) == 200, what="the rotated key")
        wait_for_changes(2)
        assert status(first) == 200, "both count during the overlap"
        assert listed(directory)["bob"]["state"] == "retiring"

        assert keys("revoke", "bob", *here).exit_code == 0
        wait_for(lambda: status(second) == 401, what="the end of the key")
        assert status(first) == 401
        assert (status(ACME), status(GLOBEX)) == (200, 200)

        done = ["key.added", "key.rotated", "key.revoked"]
        wait_for(lambda: [hit["action"] for hit in audited(gateway, "key")] == done, what="records")
        changes = wait_for_changes(3)
        assert changes[0]["members"]["entries"] == "added keys bob"
        for before, after in pairwise(changes):
            assert after["members"]["before"] == before["object"]
        assert {change["members"]["sections"] for change in changes} == {"keys"}
        assert len(audited(gateway, "policy.loaded")) == 1
        verified = headgate("audit", "verify", "--state", gateway.state)
        assert verified.stdout.startswith("ok: "), verified.output


def test_the_file_is_as_before_when_a_key_has_come_and_gone(directory):
    path = directory / "tenants.yaml"
    before = path.read_text()
    assert keys("new", "bob", "--tenant", "acme", "--policy", directory).exit_code == 0
    assert "# the key itself is sk-headgate-acme" in path.read_text()
    assert keys("revoke", "bob", "--policy", directory).exit_code == 0
    assert path.read_text() == before
    assert [each.name for each in directory.iterdir()] == ["tenants.yaml"], "no drafts are left"


def test_the_first_key_gets_a_file(directory):
    path = directory / "tenants.yaml"
    whole = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({name: whole[name] for name in ("salt", "tenants")}))
    done = keys("new", "bob", "--tenant", "acme", "--policy", directory)
    assert done.exit_code == 0, done.stderr
    (entry,) = yaml.safe_load((directory / "keys.yaml").read_text())["keys"]
    assert (entry["id"], entry["tenant"]) == ("bob", "acme")


def test_a_link_is_followed_not_replaced(directory, tmp_path):
    real = tmp_path / "real.yaml"
    path = directory / "tenants.yaml"
    path.rename(real)
    path.symlink_to(real)
    assert keys("rotate", "globex-1", "--policy", directory).exit_code == 0
    assert path.is_symlink()
    assert "retiring" in real.read_text()


def test_what_two_people_do_at_once_is_all_done(directory, tmp_path):
    """A key that is revoked while others are made must not come back with one of them."""
    here = ("--policy", str(directory), "--state", str(tmp_path / "s"))
    asked = [("new", name, "--tenant", "acme") for name in ("bob", "carol")]
    asked.insert(1, ("revoke", "acme-support"))
    command = (sys.executable, "-m", "extproc.cli", "keys")
    running = [
        subprocess.Popen(
            (*command, *each, *here), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for each in asked
    ]
    for each in running:
        _, said = each.communicate(timeout=60)
        assert each.returncode == 0, said
    assert {"bob", "carol"} <= listed(directory).keys()
    assert "acme-support" not in listed(directory)


def test_a_file_stays_whose_it_was(directory):
    """`sudo headgate keys`: workers that are not root read the file before and after."""
    path = directory / "tenants.yaml"
    owner = (1234, 2345) if os.getuid() == 0 else (os.getuid(), os.getgid())
    os.chown(path, *owner)
    path.chmod(0o640)
    assert keys("revoke", "globex-1", "--policy", directory).exit_code == 0
    now = path.stat()
    assert (now.st_uid, now.st_gid, now.st_mode & 0o777) == (*owner, 0o640)


def test_without_a_policy_the_entry_is_printed():
    done = keys(
        "new", "bob", "--tenant", "acme", "--group", "a", "--model", "m", "--salt", "12345678"
    )
    (entry,) = yaml.safe_load(done.stdout)["keys"]
    assert (entry["groups"], entry["models"]) == (["a"], ["m"])
    assert shown(done) not in done.stdout
    assert "--salt" not in done.stderr


def test_without_a_salt_it_is_said_for_which_policies_the_entry_is():
    """Under another salt the digest is that of no key: it would be refused, and nothing would say why."""
    done = keys("new", "bob", "--tenant", "acme")
    (entry,) = yaml.safe_load(done.stdout)["keys"]
    assert entry["digest"] == digest(Policy().salt, shown(done))
    assert "--salt" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new", "x y", "--tenant", "acme"], "keys[0].id: must match"),
        (["new", "x", "--tenant", ""], "keys[0].tenant: must match"),
        (["new", "x", "--tenant", "acme", "--cidr", "10.0.0.1/8"], "keys[0].cidrs[0]: a network"),
        (["new", "x", "--tenant", "acme", "--salt", ""], "salt: needs 8 or more"),
    ],
)
def test_no_entry_is_printed_that_no_policy_takes(arguments, said):
    done = keys(*arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr
    assert "sk-headgate" not in done.stderr


def test_list_shows_no_digest(directory):
    digests = re.findall(r"[0-9a-f]{64}", (directory / "tenants.yaml").read_text())
    for form in ([], ["--json"]):
        done = keys("list", "--policy", directory, *form)
        assert "acme-support" in done.stdout
        assert "active" in done.stdout
        assert not any(digest in done.stdout for digest in digests)


def test_an_expired_key_is_listed_as_such(directory):
    done = keys("new", "old", "--tenant", "acme", "--expires", "2020-01-01T00:00:00+01:00",
                "--policy", directory)  # fmt: skip
    assert done.exit_code == 0, done.stderr
    row = listed(directory)["old"]
    assert (row["state"], row["until"]) == ("expired", "2019-12-31T23:00:00Z")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new", "acme-support", "--tenant", "acme"], "'acme-support' stands twice"),
        (["new", "x", "--tenant", "nobody"], "there is no tenant 'nobody'"),
        (["new", "x y", "--tenant", "acme"], "id"),
        (["new", "x", "--tenant", "acme", "--project", "research"], "has no project"),
        (["new", "x", "--tenant", "acme", "--cidr", "10.0.0.1/8"], "cidrs"),
        (["new", "x", "--tenant", "acme", "--expires", "soon"], "'soon' is no time"),
        (["new", "x", "--tenant", "acme", "--expires", "2030-01-01"], "has no zone"),
        (["new", "x", "--tenant", "acme", "--salt", "12345678"], "leave --salt out"),
        (["rotate", "nobody"], "there is no key 'nobody'"),
        (["rotate", "globex-1", "--overlap", "7"], "'7' is no span of time"),
        (["rotate", "globex-1", "--overlap", "0d"], "between a minute and"),
        (["revoke", "nobody"], "there is no key 'nobody'"),
    ],
)
def test_what_is_wrong_changes_nothing(directory, arguments, said):
    path = directory / "tenants.yaml"
    before = path.read_text()
    done = keys(*arguments, "--policy", directory)
    assert done.exit_code == 1
    assert said in done.stderr
    assert "sk-headgate" not in done.stdout + done.stderr, "and no key is shown that nobody knows"
    assert path.read_text() == before
