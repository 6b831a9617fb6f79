import io
import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.logs import Event, EventLog, JsonFormatter, TextFormatter, redact, start_logging

SECRET_FIELDS = """authorization Proxy-Authorization api_key x_api_key password db_password
client_secret cookie set-cookie private_key credentials"""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def root_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_an_event_is_one_json_object():
    out = io.StringIO()
    start_logging("settle", form="json", stream=out)
    EventLog("ledger.settle").info(Event.READY, port=9090, tenant="acme", name="n", event="e")
    line = json.loads(out.getvalue())
    assert line["time"].endswith("Z")
    assert line.pop("pid") > 0
    del line["time"]
    assert line == {
        "level": "info",
        "event": "ready",
        "role": "settle",
        "logger": "ledger.settle",
        "port": 9090,
        "tenant": "acme",
        "name_": "n",
        "event_": "e",
    }


def test_a_library_s_line_becomes_an_event_too():
    out = io.StringIO()
    start_logging("worker", form="json", stream=out)
    logging.getLogger("some.library").warning("cannot reach %s", "redis://u:hunter2@host")
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"]) == ("log", "warning")
    assert line["message"] == "cannot reach redis://u:***@host"


def test_a_traceback_is_a_field_and_is_redacted():
    out = io.StringIO()
    start_logging("worker", form="json", stream=out)
    fault = ValueError("bad key\nsk-headgate-acme")
    EventLog("x").error(Event.FILTER_FAULT, fault, filter="identify")
    line = json.loads(out.getvalue())
    assert "ValueError: bad key\nsk-***" in line["exception"]
    assert "acme" not in out.getvalue()


def test_on_a_terminal_people_read_it():
    out = Terminal()
    start_logging("settle", stream=out)
    EventLog("x").warning(Event.LEDGER_FAULT, reason="database is locked", waiting=3)
    words = out.getvalue().split(" ", 1)[1]
    assert words == 'WARNING settle ledger_fault reason="database is locked" waiting=3\n'


def test_elsewhere_it_is_json():
    out = io.StringIO()
    start_logging("settle", stream=out)
    EventLog("x").info(Event.READY)
    assert json.loads(out.getvalue())["event"] == "ready"


def test_the_level_is_respected_and_libraries_are_quiet():
    out = io.StringIO()
    start_logging("settle", level="info", form="json", stream=out)
    logging.getLogger("aiohttp.access").info("GET /metrics")
    start_logging("settle", level="error", form="json", stream=out)
    EventLog("x").warning(Event.LEDGER_FAULT)
    assert out.getvalue() == ""


@pytest.mark.parametrize(("level", "form"), [("loud", "json"), ("info", "xml")])
def test_a_wrong_choice_is_told(level, form):
    with pytest.raises(ValueError, match=r"LOUD|xml"):
        start_logging("settle", level=level, form=form, stream=io.StringIO())


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("key sk-headgate-acme used", "key sk-*** used"),
        ('{"k":"sk-abc_DEF-123"}', '{"k":"sk-***"}'),
        ("line\\nsk-abcd", "line\\nsk-***"),
        ("Authorization: Bearer abc.def/ghi=", "Authorization: Bearer ***"),
        ("bearer\\tabc", "bearer\\t***"),
        ("Basic dXNlcjpwYXNz", "Basic ***"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_", "token ***"),
        ("postgres://me:s3cret@db/x", "postgres://me:***@db/x"),
        ("redis://:s3cret@host:6379", "redis://:***@host:6379"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
        ("basic configuration of task-force and risk-based eyJust", None),
        ("latency_us=120 prompt_tokens=7", None),
    ],
)
def test_redact(text, masked):
    assert redact(text) == (text if masked is None else masked)


@pytest.mark.parametrize("name", SECRET_FIELDS.split())
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_field_that_is_called_a_secret_is_masked(name, form):
    out = io.StringIO()
    start_logging("worker", form=form, stream=out)
    EventLog("x").info(Event.READY, **{name: "swordfish"})
    assert "swordfish" not in out.getvalue()
    assert "***" in out.getvalue()


@pytest.mark.parametrize("name", ["key_id", "prompt_tokens", "settle_key", "monkey"])
def test_fields_that_only_sound_like_it_are_shown(name):
    out = io.StringIO()
    start_logging("worker", form="json", stream=out)
    EventLog("x").info(Event.READY, **{name: "shown"})
    assert json.loads(out.getvalue())[name] == "shown"


secrets = st.text("abcdefXYZ0123456789_-", min_size=8, max_size=40)
anything = st.text(max_size=30)


@settings(deadline=None)
@given(before=anything, secret=secrets, after=anything)
@pytest.mark.parametrize("formatter", [JsonFormatter("r"), TextFormatter("r")])
def test_a_key_is_masked_wherever_it_stands(formatter, before, secret, after):
    text = f"{before} sk-{secret}\n{after}"
    record = logging.makeLogRecord({"msg": Event.LOG, "levelname": "INFO", "field": [{"x": text}]})
    assert f"sk-{secret}" not in formatter.format(record)
