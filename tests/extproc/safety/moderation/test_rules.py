"""Whom rules are for, and what scores they mind."""

import pytest

from extproc.safety.moderation.rules import Question, Rule


@pytest.mark.parametrize(
    ("rule", "scores", "found"),
    [
        (Rule("r"), {"hate": 0.71, "violence": 0.9}, "violence"),
        (Rule("r"), {"hate": 0.7}, ""),
        (Rule("r", threshold=0.2), {"hate": 0.3}, "hate"),
        (Rule("r", categories={"hate": 0.4}), {"hate": 0.5, "violence": 1.0}, "hate"),
        (Rule("r", categories={"hate": 0.4}), {"violence": 1.0}, ""),
        (Rule("r"), {}, ""),
    ],
)
def test_find(rule, scores, found):
    assert rule.find(scores) == found


def test_a_question_does_not_show_what_was_said():
    assert "secret" not in repr(Question(["secret"], "answer", "secret"))
