import pytest

from extproc.routing.settings import DEFAULTS
from study.cases import CASES
from study.plan import OURS
from study.tune import SPACES
from study.tuned import Setting, Tuned, apply, read, write


def test_settings_are_found_by_picker_and_case(tmp_path):
    tuned = Tuned(
        {"rag": 20.0},
        {"rag": 1.5},
        (Setting("chwbl", "rag", {"key_blocks": 8}, 11, -0.5), Setting(OURS, "*", {"a": 1}, 11, 0)),
    )
    assert tuned.changes("chwbl", "rag") == {"key_blocks": 8}
    assert tuned.changes("chwbl", "talk") == {}
    assert tuned.changes(OURS, "talk") == {"a": 1}
    path = tmp_path / "tuned.json"
    assert read(path) == Tuned()
    write(tuned, path)
    assert read(path) == tuned


def test_changes_reach_what_they_name_and_keep_its_type():
    settings = apply(DEFAULTS, {"weights.prefix": 4.5, "ring_factor": 1.1, "key_blocks": 8.0})
    assert (settings.weights.prefix, settings.ring_factor) == (4.5, 1.1)
    assert settings.key_blocks == 8
    assert isinstance(settings.key_blocks, int)
    assert settings.prediction == DEFAULTS.prediction
    with pytest.raises(AttributeError):
        apply(DEFAULTS, {"weights.luck": 1.0})


def test_what_was_found_fits_the_code():
    tuned = read()
    assert set(tuned.capacity) == {case.title for case in CASES.values() if not case.threads}
    for setting in tuned.settings:
        apply(DEFAULTS, setting.changes)
        assert set(setting.changes) <= set(SPACES[setting.picker])
