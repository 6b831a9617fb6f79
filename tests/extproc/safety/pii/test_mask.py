"""Placeholders: stable, of one tenant, and never anybody else's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.safety.pii.finding import Finding
from extproc.safety.pii.mask import Masker, canonical, name_of, replace


def test_the_same_value_has_the_same_placeholder_in_every_process_and_turn():
    assert Masker("k", "acme").mask("email", "a@b.cd") == Masker("k", "acme").mask(
        "email", "a@b.cd"
    )
    # Written down, so that a change is noticed: it would empty the caches of all engines.
    assert Masker("k", "acme").mask("email", "a@b.cd") == "<EMAIL_RVMSXPFF>"


@pytest.mark.parametrize(
    ("key", "tenant", "kind", "value"),
    [
        ("k2", "acme", "email", "a@b.cd"),
        ("k", "globex", "email", "a@b.cd"),
        ("k", "acme", "phone", "a@b.cd"),
        ("k", "acme", "email", "a@b.ce"),
        ("k", "acme5:email", "email", "a@b.cd"),
    ],
)
def test_anything_else_has_another(key, tenant, kind, value):
    other = Masker(key, tenant).mask(kind, value)
    assert (
        other.rpartition("_")[2] != Masker("k", "acme").mask("email", "a@b.cd").rpartition("_")[2]
    )


def test_two_ways_to_write_a_value_are_one_and_restored_as_first_written():
    masker = Masker("k", "acme")
    first = masker.mask("phone", "138-0013-8000")
    assert masker.mask("phone", "1\uff138 0013\u200b8000") == first
    assert masker.values == {first: "138-0013-8000"}
    assert canonical("email", "A@B.cd") == "a@b.cd"
    assert canonical("api_key", "sk-A") != canonical("api_key", "sk-a")


class Narrow(Masker):
    """With tags of few letters, so that they collide."""

    def _tag(self, kind, same, attempt):
        return super()._tag(kind, same, attempt)[:1] * 8


@given(st.lists(st.text(min_size=1, max_size=3), max_size=15, unique=True))
def test_values_that_collide_are_told_apart_and_the_earlier_stays(values):
    masker, again = Narrow("k", "acme"), Narrow("k", "acme")
    made = [masker.mask("code", value) for value in values]
    assert len(set(made)) == len({canonical("code", value) for value in values})
    assert [again.mask("code", value) for value in values[:3]] == made[:3]
    assert [masker.mask("code", value) for value in values] == made


def test_hashes_are_keyed_and_of_one_tenant():
    made = Masker("k", "acme").hash("email", "A@b.cd")
    assert made == Masker("k", "acme").hash("email", "a@b.cd")
    assert made != Masker("k", "globex").hash("email", "a@b.cd")
    assert len(made) == 16
    int(made, 16)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("email", "EMAIL"),
        ("bank_card", "BANK_CARD"),
        ("a1b", "A_B"),
        ("x" * 40, "X" * 24),
        ("7", "VALUE"),
    ],
)
def test_names(kind, name):
    assert name_of(kind) == name


def test_replacing():
    findings = [Finding("a", 1, 2), Finding("b", 3, 5)]
    assert replace("0123456", findings, lambda kind, value: f"<{kind}{value}>") == "0<a1>2<b34>56"


def test_half_a_surrogate_pair_has_a_placeholder():
    assert Masker("k", "t").mask("name", "\ud83d").startswith("<NAME_")
