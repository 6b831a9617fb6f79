"""Tracks: shares that are kept, and users who stay where they are."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.request import Model
from extproc.routing.tracks import Share, Tracks, score


def tracks(stable=None, canary=None, name="m"):
    weights = {"stable": stable, "canary": canary}
    shares = [
        Share(Model(name, f"pool-{track}", name, track, "1"), weight)
        for track, weight in weights.items()
        if weight is not None
    ]
    return Tracks(name, tuple(shares))


USERS = [f"acme/user-{i}" for i in range(4000)]


@pytest.mark.parametrize(
    ("offered", "strategy", "track"),
    [
        (tracks(90, 10), "stable", "stable"),
        (tracks(90, 10), "canary", "canary"),
        (tracks(90), "stable", "stable"),
        (tracks(90), "ab_test", "stable"),
        (tracks(None, 1), "ab_test", "canary"),
        (tracks(None, 1), "canary", "canary"),
        (tracks(100, 0), "canary", "canary"),
        (tracks(0, 100), "stable", "stable"),
    ],
)
def test_what_is_asked_for(offered, strategy, track):
    assert offered.choose(strategy, "acme/ann").track == track


def test_a_track_that_is_not_there():
    assert tracks(90).choose("canary", "acme/ann") is None
    assert tracks(None, 1).choose("stable", "acme/ann") is None


def test_a_track_without_weight_serves_nobody_who_did_not_ask():
    chosen = Counter(tracks(1, 0).choose("ab_test", user).track for user in USERS)
    assert chosen == {"stable": len(USERS)}


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 1000), st.integers(1, 1000))
def test_shares_are_as_the_weights_say(stable, canary):
    offered = tracks(stable, canary)
    chosen = Counter(offered.choose("ab_test", user).track for user in USERS)
    share = canary / (stable + canary)
    # Five standard deviations of a binomial: the users are always the same, so this never flickers.
    slack = 5 * (share * (1 - share) * len(USERS)) ** 0.5 + 1
    assert abs(chosen["canary"] - share * len(USERS)) < slack


@given(st.text(max_size=30), st.integers(0, 1000), st.integers(1, 1000))
def test_a_user_stays(user, stable, canary):
    offered = tracks(stable, canary)
    first = offered.choose("ab_test", user)
    assert all(offered.choose("ab_test", user) is first for _ in range(3))


@settings(deadline=None)
@given(st.integers(1, 1000), st.integers(1, 1000), st.integers(1, 1000))
def test_a_weight_that_grows_wins_users_and_loses_none(stable, canary, more):
    before, after = tracks(stable, canary), tracks(stable, canary + more)
    for user in USERS[:300]:
        if before.choose("ab_test", user).track == "canary":
            assert after.choose("ab_test", user).track == "canary"


@given(st.integers(1, 100), st.integers(1, 100), st.integers(2, 10))
def test_weights_are_relative(stable, canary, times):
    one, other = tracks(stable, canary), tracks(stable * times, canary * times)
    for user in USERS[:100]:
        assert one.choose("ab_test", user).track == other.choose("ab_test", user).track


def test_the_order_in_the_policy_does_not_matter():
    offered = tracks(50, 50)
    reverse = Tracks("m", offered.shares[::-1])
    for user in USERS[:200]:
        assert offered.choose("ab_test", user) is reverse.choose("ab_test", user)


def test_other_models_have_other_canaries():
    one, other = tracks(50, 50, "m"), tracks(50, 50, "n")
    same = sum(
        one.choose("ab_test", user).track == other.choose("ab_test", user).track for user in USERS
    )
    assert 0.45 < same / len(USERS) < 0.55


def test_a_choice_is_the_same_in_every_process():
    """Workers and replicas agree: what is pinned here must not change between releases, or every
    user of an experiment is dealt anew."""
    offered = tracks(50, 50)
    chosen = "".join(offered.choose("ab_test", f"acme/{i}").track[0] for i in range(24))
    assert chosen == PINNED


PINNED = "scsscscccccscscccssccccs"


@given(st.text(st.characters(), max_size=30) | st.just("\ud800"))
def test_a_score_is_a_number(user):
    for share in tracks(0, 1000).shares:
        assert 0 <= score(share, user) < float("inf")
