import pytest

from alerts.alert import Severity
from alerts.courier import GAP_S, MAX_TRIES, MAX_WAITING, Courier, Outcome, backoff_s
from alerts.verdict import Verdict
from alerts.webhook import Shape, Webhook
from tests.alerts.samples import alert

OK, LATER, NEVER = Verdict("delivered"), Verdict("later", "status 503"), Verdict("refused", "404")


def courier(*alerts, shape=Shape.WECOM):
    made = Courier(Webhook("ops", "http://h/", shape))
    for each in alerts:
        assert not made.offer(each)
    return made


def send_all(made, now_s=0.0, until_s=60.0):
    """Send what may be sent in a minute; how many alerts each message was about."""
    sizes = []
    while now_s < until_s:
        if alerts := made.next(now_s):
            sizes.append(len(alerts))
            made.done(alerts, OK, now_s, 0.5)
        now_s += GAP_S
    return sizes


def test_one_alert_is_one_message():
    told = alert()
    made = courier(told)
    assert made.next(0) == [told]
    assert made.done([told], OK, 0, 0.5) == Outcome(delivered=[told])
    assert made.next(100) == ()


def test_an_alert_that_is_offered_twice_waits_once():
    made = courier(alert(), alert())
    assert send_all(made) == [1]


def test_the_worst_go_first():
    made = courier(alert("mild", severity=Severity.INFO), alert("bad", severity=Severity.CRITICAL))
    assert [a.id for a in made.next(0)] == ["bad"]


def test_beyond_its_pace_the_rest_is_summed_up():
    made = courier(*(alert(f"a{n}") for n in range(55)))
    assert send_all(made) == [1] * 14 + [41]
    made.offer(alert("new"))
    assert made.next(59.9) == ()
    assert send_all(made, 60.0, 120.0) == [1]


def test_messages_keep_a_distance():
    made = courier(alert("a"), alert("b"))
    made.done(made.next(0), OK, 0, 0.5)
    assert made.next(GAP_S / 2) == ()
    assert made.next(GAP_S) != ()


def test_eight_tries_in_half_an_hour():
    told = alert()
    made = courier(told)
    now_s, tries = 0.0, 0
    while True:
        while not (alerts := made.next(now_s)):
            now_s += 0.5
        tries += 1
        if made.done(alerts, LATER, now_s, 0.5).given_up:
            break
    assert tries == MAX_TRIES
    assert 1500 < now_s < 2100
    assert made.next(now_s + 10_000) == ()


def test_a_failure_counts_for_all_that_wait():
    """A webhook that is away for hours is not tried eight times for each of a hundred alerts."""
    made = courier(*(alert(f"a{n}") for n in range(100)))
    now_s, messages, given_up = 0.0, 0, []
    while len(given_up) < 100:
        if alerts := made.next(now_s):
            messages += 1
            given_up += made.done(alerts, LATER, now_s, 0.5).given_up
        now_s += 1
    assert messages == MAX_TRIES


def test_after_a_failure_that_is_over_all_go_out():
    made = courier(alert("a"), alert("b"))
    assert not made.done(made.next(0), LATER, 0, 0.5).given_up
    assert made.next(4) == ()
    assert send_all(made, 6.0) == [1, 1]


def test_retry_after_is_obeyed():
    made = courier(alert())
    made.done(made.next(0), Verdict("later", "status 429", wait_s=120), 0, 0.5)
    assert made.next(119) == ()
    assert made.next(120) != ()


def test_what_is_refused_is_given_up_at_once_and_harms_no_other():
    bad, good = alert("bad"), alert("good")
    made = courier(bad, good)
    assert made.done([bad], NEVER, 0, 0.5) == Outcome(given_up=[bad])
    assert made.next(GAP_S) == [good]


def test_its_queue_is_bounded():
    made = courier(*(alert(f"a{n}") for n in range(MAX_WAITING)))
    assert [a.id for a in made.offer(alert("one more"))] == ["a0"]
    assert made.has("one more")
    assert not made.has("a0")


@pytest.mark.parametrize(
    ("failures", "expected"), [(1, 5), (2, 15), (3, 45), (5, 405), (6, 600), (10**9, 600)]
)
def test_backoff(failures, expected):
    assert backoff_s(failures, 0.5) == pytest.approx(expected)
    assert backoff_s(failures, 0) == pytest.approx(expected * 0.8)
    assert backoff_s(failures, 1) == pytest.approx(expected * 1.2)
