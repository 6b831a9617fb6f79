import pytest

from study.measure import Record, Window, measure

WINDOW = Window(10.0, 20.0, 25.0)


def record(asked_s, first_s=-1.0, ended_s=-1.0, tokens=0, cached=0, **more):
    return Record(
        asked_s, 100, first_s=first_s, ended_s=ended_s, completion_tokens=tokens,
        cached_tokens=cached, **more,
    )  # fmt: skip


def test_figures():
    figures = measure(
        [
            record(5.0, 6.0, 12.0, 50),  # before: only its tokens count
            record(11.0, 11.5, 13.5, 21, cached=80, predicted_s=0.4),  # 0.5 s, 100 ms each
            record(12.0, 15.0, 16.0, 11, cached=40),  # too late
            record(13.0, 13.1, 24.0, 11),  # too slow, and ends after the window
            record(19.0),  # no answer: 6 s
            record(22.0, 22.1, 23.0, 10),  # after it
        ],
        WINDOW,
        {"a": 30.0, "b": 10.0},
    )
    assert figures.requests == 4
    assert figures.mean_ttft_s == pytest.approx((0.5 + 3.0 + 0.1 + 6.0) / 4)
    assert (figures.p50_ttft_s, figures.p99_ttft_s) == pytest.approx((0.5, 6.0))
    assert figures.goodput == 0.25
    assert figures.good_per_s == pytest.approx(0.1)
    assert figures.tokens_per_s == pytest.approx((50 + 21 + 11) / 10)
    assert figures.requests_per_s == pytest.approx(0.3)
    assert figures.hit_ratio == pytest.approx(120 / 300)
    assert figures.imbalance == 1.5
    assert figures.unanswered == 1
    assert figures.error_s == pytest.approx(0.1)


def test_an_answer_still_being_written_is_judged_by_what_there_is():
    assert measure([record(11.0, 11.5)], WINDOW, {"a": 0.0}).goodput == 1.0
