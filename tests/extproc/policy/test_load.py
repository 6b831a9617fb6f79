"""Files -> Policy: what is read, what is joined, what a version is. Mistakes: `test_golden.py`."""

from pathlib import Path

import pytest

from extproc.errors import PolicyError
from extproc.policy.load import MAX_DEPTH, load, load_sources, names_pools, read_all, version_of

DEMO = Path(__file__).parents[3] / "extproc/policy/demo"


def write(directory, files):
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        raw = text if isinstance(text, bytes) else text.encode()
        (directory / name).write_bytes(raw)
    return directory


def complain(*directories):
    with pytest.raises(PolicyError) as caught:
        load(directories)
    return str(caught.value)


def test_the_demo_policy_loads():
    policy = load([DEMO])
    assert [tenant.name for tenant in policy.tenants] == ["acme", "globex"]
    assert not names_pools([DEMO])


A = "tenants:\n  - name: acme\nsalt: a salt of tests\n"
B = "tenants:\n  - name: globex\n"
ENGINES = """
pools:
  - {name: p, endpoints: ["10.0.0.1:80"]}
models:
  - {name: m, pool: p}
"""


def test_files_are_joined_in_the_order_of_their_names(tmp_path):
    policy = load([write(tmp_path, {"b.yaml": B, "a.yaml": A})])
    assert [tenant.name for tenant in policy.tenants] == ["acme", "globex"]
    assert policy.salt == "a salt of tests"


def test_directories_are_joined_in_the_order_given(tmp_path):
    one = write(tmp_path / "one", {"z.yaml": A})
    two = write(tmp_path / "two", {"a.yaml": B, "engines.yaml": ENGINES})
    policy = load([one, two])
    assert [tenant.name for tenant in policy.tenants] == ["acme", "globex"]
    assert [model.name for model in policy.models] == ["m"]
    assert [tenant.name for tenant in load([two, one]).tenants] == ["globex", "acme"]
    assert names_pools([one, two])
    assert not names_pools([one])


def test_a_directory_given_twice_counts_once(tmp_path):
    one = write(tmp_path, {"a.yaml": A})
    assert len(load([one, one]).tenants) == 1


def test_references_may_cross_files(tmp_path):
    key = f"keys: [{{id: k, digest: {'a' * 64}, tenant: globex}}]"
    policy = load([write(tmp_path, {"a.yaml": key, "b.yaml": B})])
    assert policy.keys[0].tenant == "globex"


def test_only_yaml_files_are_read(tmp_path):
    files = {"a.yaml": B, "b.yml": A, "b.yaml~": "[", "c.txt": "[", ".d.yaml": "["}
    assert len(load([write(tmp_path, files)]).tenants) == 2


def test_bytes_that_are_no_text_are_told_with_the_others(tmp_path):
    said = complain(write(tmp_path, {"a.yaml": "[", "b.yaml": b"\xff", "c.yaml": "x: \x01"}))
    assert [line.split(":")[0] for line in said.splitlines()] == [
        str(tmp_path / name) for name in ("a.yaml", "b.yaml", "c.yaml")
    ]


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_no_nesting_ends_the_process(brackets):
    """libyaml would run out of stack at some ten thousand levels, and take the worker with it."""
    begin, end = ("[", "]") if brackets == "[]" else ("{a: ", "}")
    text = f"salt: {begin * 200_000}{end * 200_000}"
    with pytest.raises(PolicyError, match="nested too deeply"):
        load_sources({Path("a.yaml"): text.encode()})


def test_nesting_up_to_the_bound_is_judged_like_anything_else():
    depth = MAX_DEPTH - 1
    with pytest.raises(PolicyError, match="salt: text belongs here"):
        load_sources({Path("a.yaml"): f"salt: {'[' * depth}{']' * depth}".encode()})


def test_a_long_chain_of_aliases_ends(tmp_path):
    chain = "x0: &x0 [a]\n" + "".join(f"x{n}: &x{n} [*x{n - 1}]\n" for n in range(1, 3000))
    assert "nested too deeply" in complain(write(tmp_path, {"a.yaml": chain}))


def test_nothing_there(tmp_path):
    empty = write(tmp_path / "empty", {"a.txt": ""})
    assert complain(empty) == f"{empty}: no policy there (no *.yaml file)"
    assert complain(tmp_path / "gone") == f"{tmp_path / 'gone'}: No such file or directory"


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "dir.yaml").mkdir()
    assert complain(tmp_path) == f"{tmp_path / 'dir.yaml'}: Is a directory"


def test_a_link_to_nowhere_is_named(tmp_path):
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")
    assert complain(tmp_path) == f"{tmp_path / 'a.yaml'}: No such file or directory"


def test_the_version_is_of_the_content(tmp_path):
    one = write(tmp_path / "one", {"a.yaml": A, "b.yaml": B})
    same = write(tmp_path / "same", {"b.yaml": B, "a.yaml": A})
    version = load([one]).version
    assert version == load([same]).version == version_of(read_all([one]))
    assert len(version) == 12


@pytest.mark.parametrize(
    "changed", [{"a.yaml": A + "#"}, {"c.yaml": "# nothing"}, {"b.yaml": B.replace("g", "G")}]
)
def test_any_change_is_another_version(tmp_path, changed):
    before = load([write(tmp_path, {"a.yaml": A, "b.yaml": B})]).version
    assert load([write(tmp_path, changed)]).version != before


def test_content_that_moves_between_files_is_another_version(tmp_path):
    """Names and lengths are hashed too, so that no two layouts of the same bytes agree."""
    one = write(tmp_path / "one", {"a.yaml": "ab", "b.yaml": "c"})
    two = write(tmp_path / "two", {"a.yaml": "a", "b.yaml": "bc"})
    assert version_of(read_all([one])) != version_of(read_all([two]))
