"""Log lines that a machine can read, and a person too.

Every process of ours logs JSON to stderr, one object a line, or plain text on a terminal. What
happened is an `Event`; everything else is a field. Whatever looks like a secret is masked in the
finished line, so that no field, exception or library can leak one.

    log = EventLog(__name__)
    log.info(Event.READY, port=9090)
"""

import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

import msgspec
from pythonjsonlogger.msgspec import MsgspecFormatter


class Event(StrEnum):
    """Every event name there is, with what it means."""

    LOG = "log"
    """A line from a library; the text is in `message`."""
    READY = "ready"
    """This process serves."""
    DRAINING = "draining"
    """Asked to stop: finishing what is open."""
    STOPPED = "stopped"
    """Finished everything and leaves."""
    DRAIN_INCOMPLETE = "drain_incomplete"
    """Had to leave before everything was finished; the next start goes on from there."""
    GAVE_UP = "gave_up"
    """Cannot start or go on, for something outside this process: `reason` says what."""
    FAULT = "fault"
    """An exception that nobody expected; the process ends."""

    REQUEST_SETTLED = "request_settled"
    """One request has its row; the fields say how it ended."""
    REQUEST_UNSETTLED = "request_unsettled"
    """A lease ran out without an end: Envoy was killed, or its log was lost."""
    LINES_BAD = "lines_bad"
    """Lines that could not be read; their content is not repeated here."""
    LEDGER_FAULT = "ledger_fault"
    """The ledger could not be written; the same lines are tried again."""
    LEDGER_BACK = "ledger_back"
    """The ledger takes rows again."""
    LEDGER_MOVED = "ledger_moved"
    """Somebody else wrote the ledger, or a commit was lost: settling starts over from what is stored."""
    LEDGER_WAIT = "ledger_wait"
    """The ledger cannot be opened yet; it is tried again until it can."""
    ROOT_SIGNED = "root_signed"
    """Where every chain of the ledger stands was signed and written down."""
    RETENTION = "retention"
    """Entries, names and logs that were kept long enough are gone; the fields say how many."""
    RETENTION_WAITS = "retention_waits"
    """Entries stay longer than they should: a log that is still there tells of them, too."""
    AUDIT_UNREADABLE = "audit_unreadable"
    """A line of an audit journal is no record. What stands for it in the store says where it was."""
    AUDIT_NOT_WRITTEN = "audit_not_written"
    """Something that should be recorded happened all the same; the disk is full or gone."""
    AUDIT_NOT_SYNCED = "audit_not_synced"
    """Audit records could not be forced to the disk; a crash of the machine would lose them."""
    AUDIT_TRIMMED = "audit_trimmed"
    """Audit records that were kept long enough are gone; what is left can still be proved."""
    DUTY_FAULT = "duty_fault"
    """Something that the settle process does from time to time failed; settling goes on."""
    FILE_TRUNCATED = "file_truncated"
    """A file became shorter than what was read of it; it is read again from its start."""

    ALERT = "alert"
    """Something that people want to be told; the fields say what, webhooks pass it on."""
    ALERT_DROPPED = "alert_dropped"
    """An alert that could not be left for delivery, or could not be read."""
    ALERT_NOT_REMEMBERED = "alert_not_remembered"
    """What was delivered could not be written down; after a restart it may come a second time."""
    WEBHOOK_FAILED = "webhook_failed"
    """A webhook did not take a message. `later`: it is tried again."""
    WEBHOOK_GAVE_UP = "webhook_gave_up"
    """Alerts that a webhook will never get."""
    CONFIG_REJECTED = "config_rejected"
    """What the settle process is to do besides settling cannot be read; it goes on as before."""
    WITNESS_SILENT = "witness_silent"
    """An engine's counters cannot be read, so the ledger is not compared with them."""
    WITNESS_RESET = "witness_reset"
    """An engine's counters began anew: what it counted after the last look is not known."""

    MODERATED = "moderated"
    """A rule has something against a request or an answer: which, and what was done."""
    ENDS_REREAD = "ends_reread"
    """Requests that ended shortly before this worker started were settled once more: the one before it may
    have died with the news."""
    ENDS_NOT_REREAD = "ends_not_reread"
    """They could not be read: their places may stay taken until leases are over."""
    FILTER_FAULT = "filter_fault"
    """A filter raised; its policy `on_fault` says what became of the request."""
    SETTLE_FAULT = "settle_fault"
    """A filter raised while settling; the ledger does not depend on it."""
    WIRE_FAULT = "wire_fault"
    """Envoy sent what the protocol does not allow there; the request was refused."""
    STREAM_FAULT = "stream_fault"
    """An exception outside any filter while a request was served; it was refused."""
    ENDPOINT_EJECTED = "endpoint_ejected"
    """Something speaks against an endpoint: `reasons` says what. It gets nothing new, as long as enough of
    its pool is left."""
    ENDPOINT_TRIED = "endpoint_tried"
    """It gets a few requests, to show whether it is well again."""
    ENDPOINT_READMITTED = "endpoint_readmitted"
    """It is well again, and gets its share little by little."""
    DECISIONS_NOT_KEPT = "decisions_not_kept"
    """Decision records could not be written; requests are served all the same."""
    COUNTERS_DOWN = "counters_down"
    """What counts against limits does not answer; each limit's `on_fault` says what happens now."""
    COUNTERS_BACK = "counters_back"
    """It answers again; what it has missed is sent."""
    BANNED = "banned"
    """A client was refused too often, or sent too many long prompts, and is kept out for a while."""
    BAN_LIFTED = "ban_lifted"
    """Somebody has ended a ban before its time."""
    BANS_DOWN = "bans_down"
    """Bans cannot be shared with other workers; this one goes by its own."""
    BANS_BACK = "bans_back"
    """They are shared again; the others are told what they have missed."""
    LOOKS_STALE = "looks_stale"
    """Nothing new is heard of some engines; what was known last is believed less and less."""
    LOOKS_FRESH = "looks_fresh"
    """It is heard again."""
    WATCH_PEER_CUT = "watch_peer_cut"
    """A worker was cut off by the watch process; it connects again and is told everything."""
    WATCH_SLOWED = "watch_slowed"
    """Looking at engines took more CPU than its share: they are looked at less often."""
    WATCH_FAST = "watch_fast"
    """They are looked at as often as ever."""
    MEMBERS_NOT_WRITTEN = "members_not_written"
    """Envoy could not be told who the members of discovered pools are."""
    DISCOVERY_FAILED = "discovery_failed"
    """What names the endpoints of a pool could not be asked; its last answer holds."""
    DISCOVERY_BACK = "discovery_back"
    """It answers again."""
    KV_EVENTS_LOST = "kv_events_lost"
    """Some of what an engine told of its cache cannot be had any more: what was known of it is dropped."""
    QUESTIONS_DOWN = "questions_down"
    """Milvus does not answer, with the reason: until it does, only equal requests are found in the cache."""
    QUESTIONS_BACK = "questions_back"
    """It answers again."""
    CERTIFICATE_LOADED = "certificate_loaded"
    """A renewed certificate is shown to those who connect from now on."""
    CERTIFICATE_REJECTED = "certificate_rejected"
    """The files of the certificate have changed and cannot be used; the one in force stays."""
    JWKS_LOADED = "jwks_loaded"
    """The keys of a token issuer are here: for the first time, changed, or again after a failure."""
    JWKS_STALE = "jwks_stale"
    """The keys of a token issuer could not be got: those that are known go on working."""
    POLICY_LOADED = "policy_loaded"
    """A policy version is in force; streams that began earlier keep theirs."""
    POLICY_HELD_BACK = "policy_held_back"
    """A worker begins with the policy of before: Envoy has not all pools of the one on disk."""
    POLICY_NARROWED = "policy_narrowed"
    """A new policy waits for its pools; the identities that it takes away or changes do not: so many."""
    POLICY_NOT_NARROWED = "policy_not_narrowed"
    """What it takes away could not be taken away alone: it is in force until the whole policy is."""
    POLICY_REJECTED = "policy_rejected"
    """The policy's files have mistakes; what was in force stays."""
    STATUS_UNWRITTEN = "status_unwritten"
    """A worker could not write down which policy it serves, for `headgate policy status`."""
    POLICY_NOT_KEPT = "policy_not_kept"
    """The policy in force could not be written down for a later start; it is served all the same."""
    LOG_NOT_ROTATED = "log_not_rotated"
    """The full access log could not be set aside; it grows on, and it is tried again."""
    LOG_KEPT = "log_kept"
    """Logs that were set aside stay longer than usual: the ledger does not have all of them yet."""
    POOLS_CHANGED = "pools_changed"
    """Envoy has the pools and routes of a changed policy."""
    POOLS_LATE = "pools_late"
    """Envoy still does not know a pool of the policy, which is in force now all the same; unless Envoy has the pool lead
    elsewhere, which is waited for."""
    POOLS_REFUSED = "pools_refused"
    """Envoy did not take pools or routes of a changed policy, and goes on with those it has."""
    PROCESS_STARTED = "process_started"
    PROCESS_EXITED = "process_exited"
    """A child ended that should not have; it is started again."""


_MASK = "***"
_START = r"(?:(?<![A-Za-z0-9_])|(?<=\\[bfnrt]))"
"""Where a word starts, also in JSON text, where a line break before it reads `\\n`."""
_SPACE = r"(?:\s|\\[nrt])+"
_SECRETS = (
    ("sk-", re.compile(rf"{_START}(sk-)[A-Za-z0-9_\-]{{4,}}"), rf"\1{_MASK}"),
    ("bearer", re.compile(rf"(?i){_START}(bearer{_SPACE})[^\s\"'\\,;]+"), rf"\1{_MASK}"),
    # Base64 of credentials has a capital, a digit or padding; "basic configuration" has not.
    (
        "basic",
        re.compile(
            rf"{_START}((?i:basic){_SPACE})(?=[a-z]*[A-Z0-9+/=])[A-Za-z0-9+/]{{8,}}={{0,2}}"
        ),
        rf"\1{_MASK}",
    ),
    # A JWT starts with the base64 of `{"`.
    ("eyj", re.compile(rf"{_START}eyJ[\w\-]{{8,}}\.[\w\-]+(?:\.[\w\-]*)?"), _MASK),
    (
        "://",
        re.compile(r"(\w://[^\s/:@\"]*:)[^\s/@\"]+(@)"),
        rf"\1{_MASK}\2",
    ),  # redis://me:secret@host
)
"""What each secret contains in lower case, looked for first because it costs 50 times less; its
pattern; and what is written instead."""

_SECRET_FIELDS = re.compile(
    r"(?i)(.*[-_])?(authorization|cookie|password|passwd|secret|credentials?|(api|private)[-_]?key)"
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_HEAD = frozenset({"time", "level", "event", "role", "pid", "logger", "exception"})
_TAKEN = _STANDARD | _HEAD
"""Field names that a line has already; a field called so gets an underscore."""


def redact(text: str) -> str:
    """Mask whatever looks like an API key, a bearer or basic credential, a JWT or a URL password."""
    lower = text.lower()
    for sign, pattern, mask in _SECRETS:
        if sign in lower:
            text = pattern.sub(mask, text)
    return text


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {
        name: _MASK if _SECRET_FIELDS.fullmatch(name) else value
        for name, value in vars(record).items()
        if name not in _STANDARD and not name.startswith("_")
    }


def _head(record: logging.LogRecord) -> tuple[str, dict[str, object]]:
    """Split a record into the event name and its fields."""
    if isinstance(record.msg, Event):
        return record.msg.value, _fields(record)
    return Event.LOG.value, {"message": record.getMessage(), **_fields(record)}


class JsonFormatter(MsgspecFormatter):
    """`{"time", "level", "event", "role", "pid", "logger", ...fields, "exception"}`."""

    def __init__(self, role: str) -> None:
        # The base class gives no type to one of its parameters.
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        event, fields = _head(record)
        line: dict[str, object] = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": event,
            "role": self._role,
            "pid": record.process,
            "logger": record.name,
            **fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redact(self.serialize_log_record(line))


class TextFormatter(logging.Formatter):
    """`12:00:00.123 INFO  settle ready port=9090`, in UTC as everywhere else."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        event, fields = _head(record)
        time = _time(record).strftime("%H:%M:%S.%f")[:-3]
        words = [f"{time} {record.levelname:<7} {self._role} {event}"]
        words += [f"{name}={_word(value)}" for name, value in fields.items()]
        line = " ".join(words)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact(line)


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _word(value: object) -> str:
    text = str(value)
    return msgspec.json.encode(text).decode() if not text or re.search(r"[\s\"=]", text) else text


class EventLog:
    """Logs events with fields. Cheap when the level is off: nothing is formatted."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def is_on(self, level: int = logging.INFO) -> bool:
        """Ask before gathering costly fields."""
        return self._logger.isEnabledFor(level)

    def info(self, event: Event, /, **fields: object) -> None:
        self._log(logging.INFO, event, fields)

    def warning(self, event: Event, /, **fields: object) -> None:
        self._log(logging.WARNING, event, fields)

    def error(self, event: Event, fault: BaseException | None = None, /, **fields: object) -> None:
        """Log an error; with `fault`, also its traceback."""
        self._log(logging.ERROR, event, fields, fault)

    def _log(
        self,
        level: int,
        event: Event,
        fields: Mapping[str, object],
        fault: BaseException | None = None,
    ) -> None:
        if not self.is_on(level):
            return
        extra = {f"{name}_" if name in _TAKEN else name: v for name, v in fields.items()}
        self._logger.log(level, event, extra=extra, exc_info=fault)


def start_logging(
    role: str,
    *,
    level: str = "info",
    form: str = "auto",
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process to `stream` (stderr). Call once, from `__main__`.

    `form` is `json`, `text`, or `auto`: text on a terminal, JSON anywhere else. Libraries log
    from WARNING up. Raises ValueError for an unknown level or form.
    """
    out = sys.stderr if stream is None else stream
    if form not in ("auto", "json", "text"):
        raise ValueError(f"log form {form!r}: choose auto, json or text")
    text = form == "text" or (form == "auto" and out.isatty())
    output = logging.StreamHandler(out)
    output.setFormatter(TextFormatter(role) if text else JsonFormatter(role))
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level.upper())
    for library in ("aiohttp", "asyncio", "grpc", "watchfiles"):
        logging.getLogger(library).setLevel(max(logging.WARNING, root.level))
