"""What a worker is told by its environment."""

import os
from pathlib import Path

import pytest

from extproc.budget import MAX_BODY_BYTES, MAX_HELD_BYTES
from extproc.errors import HeadgateError
from extproc.settings import (
    POLL_INTERVAL_S,
    Settings,
    SettingsError,
    inherited,
    policy_poll_s,
)

GIVEN = {
    "HEADGATE_POLICY": "policy",
    "HEADGATE_STATE": ".headgate",
    "HEADGATE_LISTEN": "unix:.headgate/run/worker-0.sock",
}


def test_what_is_given_is_read():
    assert Settings.read(GIVEN) == Settings(
        policy=(Path("policy"),),
        state=Path(".headgate"),
        listen="unix:.headgate/run/worker-0.sock",
        max_held_bytes=MAX_HELD_BYTES,
    )


def test_policy_directories_are_joined_by_the_path_separator_in_order():
    given = {**GIVEN, "HEADGATE_POLICY": os.pathsep.join(["b", "a", "c/d"])}
    assert Settings.read(given).policy == (Path("b"), Path("a"), Path("c/d"))


@pytest.mark.parametrize("text", ["a::b", "a:", ":a", ":"])
def test_an_empty_policy_directory_is_not_the_working_directory(text):
    given = {**GIVEN, "HEADGATE_POLICY": text.replace(":", os.pathsep)}
    with pytest.raises(SettingsError, match="HEADGATE_POLICY names an empty directory"):
        Settings.read(given)


@pytest.mark.parametrize("held", [MAX_BODY_BYTES, 10**15 - 1])
def test_max_held_bytes(held):
    given = {**GIVEN, "HEADGATE_MAX_HELD_BYTES": str(held)}
    assert Settings.read(given).max_held_bytes == held


@pytest.mark.parametrize("name", sorted(GIVEN))
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_a_missing_setting_is_named(name, how):
    given = dict(GIVEN)
    if how == "absent":
        del given[name]
    else:
        given[name] = ""
    with pytest.raises(SettingsError, match=f"^{name} is not set$"):
        Settings.read(given)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-16777216",
        "16777216.0",
        "16MiB",
        " 16777216",
        "16777216\n",
        "16_777_216",
        "0x1000000",
        "\N{VULGAR FRACTION ONE HALF}",
        "\N{ARABIC-INDIC DIGIT ONE}" * 9,
        "1",
        str(MAX_BODY_BYTES - 1),
        "9" * 16,
        "9" * 5000,
    ],
)
def test_max_held_bytes_must_hold_the_largest_body(text):
    with pytest.raises(SettingsError, match="HEADGATE_MAX_HELD_BYTES is") as caught:
        Settings.read({**GIVEN, "HEADGATE_MAX_HELD_BYTES": text})
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(("text", "seconds"), [("0.01", 0.01), ("2", 2.0), ("3600", 3600.0)])
def test_how_often_the_policy_is_looked_at(text, seconds):
    given = {**GIVEN, "HEADGATE_POLICY_POLL_S": text}
    assert Settings.read(given).policy_poll_s == policy_poll_s(given) == seconds
    assert Settings.read(GIVEN).policy_poll_s == policy_poll_s({}) == POLL_INTERVAL_S


@pytest.mark.parametrize("text", ["", "0", "0.009", "3601", "-1", "1e3", "nan", "inf", "1s", "1\n"])
def test_what_is_no_interval(text):
    with pytest.raises(SettingsError, match="HEADGATE_POLICY_POLL_S is"):
        policy_poll_s({"HEADGATE_POLICY_POLL_S": text})


def test_a_settings_error_is_one_of_ours():
    assert issubclass(SettingsError, HeadgateError)


def test_a_child_inherits_a_copy_of_the_environment(monkeypatch):
    monkeypatch.setenv("HEADGATE_STATE", "here")
    mine = inherited()
    assert mine["HEADGATE_STATE"] == "here"
    mine["HEADGATE_STATE"] = "there"
    assert inherited()["HEADGATE_STATE"] == "here"


def test_without_a_mapping_the_process_environment_is_read(monkeypatch):
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    assert Settings.read() == Settings.read(GIVEN)


def test_where_limits_are_counted():
    given = {**GIVEN, "HEADGATE_REDIS": "unix:///run/valkey.sock", "HEADGATE_REPLICAS": "4"}
    read = Settings.read(given)
    assert (read.redis, read.replicas) == ("unix:///run/valkey.sock", 4)
    assert (Settings.read(GIVEN).redis, Settings.read(GIVEN).replicas) == ("", 1)


@pytest.mark.parametrize(("text", "seconds"), [("1", 0.001), ("250", 0.25), ("99999", 99.999)])
def test_how_long_a_call_to_the_counters_may_take(text, seconds):
    read = Settings.read({**GIVEN, "HEADGATE_REDIS_DEADLINE_MS": text})
    assert read.redis_deadline_s == seconds
    assert Settings.read(GIVEN).redis_deadline_s is None


@pytest.mark.parametrize("text", ["", "0", "-1", "0.5", "20ms", "100000"])
def test_what_is_no_deadline(text):
    with pytest.raises(SettingsError, match="HEADGATE_REDIS_DEADLINE_MS is"):
        Settings.read({**GIVEN, "HEADGATE_REDIS_DEADLINE_MS": text})


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1.5", "999999"])
def test_what_is_no_number_of_workers(text):
    with pytest.raises(SettingsError, match="HEADGATE_REPLICAS"):
        Settings.read({**GIVEN, "HEADGATE_REPLICAS": text})
