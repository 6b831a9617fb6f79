"""The report on guards: its prompts, its policies, its tables."""

from importlib.util import find_spec

import pytest
import yaml

from bench.safety import (
    DENSE,
    ENV,
    ITL_MS,
    PARTS,
    POLICIES,
    SIZES_BYTES,
    WAYS,
    Times,
    prompt,
    run_part,
    to_page,
    to_table,
)
from extproc.cli.plan import DEMO_POLICY
from extproc.policy.load import load
from extproc.policy.secrets import SecretReader


@pytest.mark.parametrize("size", SIZES_BYTES)
def test_prompts_are_as_long_as_they_should_be_and_each_is_another(size):
    found = {prompt(way.prompt, size, number) for way in WAYS for number in range(3)}
    assert len(found) == 3 * len({way.prompt for way in WAYS})
    assert all(size - 3 <= len(each.encode()) <= size for each in found)
    assert "4111 1111 1111 1111" in prompt(DENSE, size, 0)


@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_policies(name, tmp_path):
    engines = {
        "pools": [{"name": "p", "endpoints": ["127.0.0.1:1"]}],
        "models": [{"name": "demo", "pool": "p"}],
    }
    (tmp_path / "guards.yaml").write_text(yaml.safe_dump({**POLICIES[name], **engines}))
    policy = load([DEMO_POLICY, tmp_path], SecretReader(ENV))
    assert bool(policy.pii.rules) == (name != "plain")
    assert bool(policy.outbound.rules) == (name == "all")


def test_what_is_added_is_against_no_guards():
    found = {
        (size, way): Times([20.0 + turn] * 19 + [99.0], [20.0 + turn + ITL_MS * turn] * 20)
        for size in SIZES_BYTES
        for turn, way in enumerate(WAYS)
    }
    title, _, plain, *guarded = to_table(found).splitlines()
    assert title.count("|") == plain.count("|")
    assert plain == "| 4 kB | no guards | 20.0 ms | 20.0 ms |  |  |  | 20.0 ms | 0 |"
    assert guarded[1].endswith("| +2.0 ms | +2.0 ms | 1.10 | 32.0 ms | 2 |")
    assert guarded[3].startswith("| 64 kB | no guards |")


def test_parts_are_there_and_fit_for_a_page():
    assert all(find_spec(name) for name, *_ in PARTS.values())
    assert to_page("us  echo\n1   2") == "```text\nus  echo\n1   2\n```"
    assert to_page("en:\n| a |\n|---|\n| 1 |\nend") == "en:\n\n| a |\n|---|\n| 1 |\nend"
    assert "| email | 110 | 110 |" in run_part(PARTS["Personal data found"])
