"""`headgate policy` as people and programs meet it: what it prints, and its exit codes."""

import json
import os
import pty
import subprocess
import sys

import pytest

from tests.e2e.conftest import ROOT

GOOD = "tenants:\n  - name: acme\n    projects: [support]\n"
BAD = "tenants:\n  - name: acme\n    project: [support]\nkeyz: []\n"
DEMO = str(ROOT / "extproc/policy/demo")


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "extproc.cli", "policy", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def make(tmp_path):
    def write(name, text):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(text)
        return str(tmp_path / name)

    return write


def test_check_says_ok(make):
    done = run("check", make("good", GOOD))
    assert done.returncode == 0
    assert done.stdout.startswith("ok: version ")
    assert done.stdout.endswith(", 1 tenants\n")


def test_check_says_what_is_wrong_for_people_and_for_programs(make):
    directory = make("bad", BAD)
    done = run("check", directory)
    assert (done.returncode, done.stdout) == (1, "")
    unknown, meant = "there is no such member", "did you mean"
    assert done.stderr.splitlines() == [
        f"{directory}/a.yaml:3: tenants[0].project: {unknown}; {meant} 'projects'?",
        f"{directory}/a.yaml:4: keyz: {unknown}; {meant} 'keys'?",
    ]
    done = run("check", "--json", directory)
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told["ok"] is False
    assert [(each["line"], each["member"]) for each in told["mistakes"]] == [
        (3, "tenants[0].project"),
        (4, "keyz"),
    ]


def test_check_ok_for_programs(make):
    done = run("check", "--json", make("good", GOOD))
    assert done.returncode == 0
    assert json.loads(done.stdout)["mistakes"] == []


def test_show(make):
    done = run("show", make("good", GOOD), DEMO)
    assert done.returncode == 1, "acme stands in both"
    assert "stands twice" in done.stderr
    done = run("show", DEMO)
    assert done.returncode == 0
    assert "digest: 54a4864ed8c8...\n" in done.stdout
    told = json.loads(run("show", DEMO, "--json").stdout)
    assert [key["id"] for key in told["keys"]] == ["acme-support", "globex-1"]


def test_diff(make):
    old, new = make("old", GOOD), make("new", GOOD.replace("support", "search"))
    done = run("diff", old, old)
    assert (done.returncode, done.stdout) == (0, "")
    done = run("diff", old, new)
    assert (done.returncode, done.stdout) == (1, "~ tenants acme projects: +search -support\n")
    done = run("diff", old, new, "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["old"] != told["new"]
    assert told["changes"] == [
        {
            "change": "changed",
            "section": "tenants",
            "entry": "acme",
            "member": "projects",
            "old": ["support"],
            "new": ["search"],
        }
    ]


def test_diff_of_joined_directories(make):
    pools = make("pools", "pools: [{name: p, endpoints: ['10.0.0.1:80']}]\n")
    models = make("models", "models: [{name: m, pool: p}]\n")
    assert run("diff", models, models).returncode == 2, "alone it points nowhere"
    both = os.pathsep.join([pools, models])
    done = run("diff", both, os.pathsep.join([models, pools]))
    assert (done.returncode, done.stderr) == (0, "")


def test_diff_with_one_that_does_not_load(make):
    done = run("diff", make("good", GOOD), make("bad", BAD))
    assert (done.returncode, done.stdout) == (2, "")
    assert "a.yaml:3" in done.stderr


def test_colour_only_on_a_terminal(make):
    old, new = make("old", GOOD), make("new", GOOD.replace("support", "search"))
    assert "\x1b" not in run("diff", old, new).stdout
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "extproc.cli", "policy", "diff", old, new]
    with subprocess.Popen(command, cwd=ROOT, stdout=theirs, stdin=theirs) as process:
        os.close(theirs)
        said = os.read(ours, 4096).decode()
        assert process.wait(60) == 1
    os.close(ours)
    assert said.startswith("\x1b[33m~ tenants acme")


def test_the_schema_is_the_published_one():
    done = run("schema")
    assert done.returncode == 0
    assert done.stdout == (ROOT / "docs/policy.schema.json").read_text()


def test_status_where_nobody_serves(tmp_path):
    done = run("status", "--state", str(tmp_path))
    assert (done.returncode, done.stderr) == (2, f"no worker runs in {tmp_path}\n")


def test_status_of_a_gateway(gateway):
    done = run("status", "--state", str(gateway.state))
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].startswith("on disk   ")
    for number, line in enumerate(lines[1:]):
        assert line.startswith(f"worker-{number}  pid ")
        assert line.endswith("; on disk: in force")
