"""What a policy says of a classifier."""

import pytest
from pydantic import ValidationError

from extproc.policy.classifier import ClassifierPolicy

URL = "http://127.0.0.1:1/predict"


def test_windows():
    windows = ClassifierPolicy(kind="predict", url=URL, window_bytes=1000, most_windows=3).windows()
    assert (windows.bytes, windows.most) == (1000, 3)
    assert windows.speakers == {"user", "tool", "other"}


def test_each_way_of_not_being_judged_is_refused_by_itself():
    made = ClassifierPolicy(kind="predict", url=URL)
    assert (made.on_fault, made.on_excess) == ("deny", "deny")
    lenient = ClassifierPolicy(kind="predict", url=URL, on_fault="continue")
    assert lenient.on_excess == "deny"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"kind": "guard_chat"}, "needs a model"),
        ({"kind": "oracle"}, "kind"),
        ({"threshold": 0}, "greater than 0"),
        ({"harmless": []}, "at least 1"),
        ({"speakers": []}, "at least 1"),
        ({"timeout_ms": 0}, "greater than or equal to 1"),
    ],
)
def test_mistakes(members, said):
    with pytest.raises(ValidationError, match=said):
        ClassifierPolicy(**{"kind": "predict", "url": URL, **members})
