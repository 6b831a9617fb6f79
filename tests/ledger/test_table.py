import io
from datetime import UTC, datetime, timedelta

from ledger.figures import Figures
from ledger.question import Question
from ledger.ranking import UsageRow
from ledger.table import write_table
from ledger.usage import Answer

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def figures(**members):
    return Figures(**{"requests": 1, "prompt_tokens": 1_234_567, **members})


def draw(*rows, out=None, before=None, **question):
    question = Question(
        **{"by": ("tenant",), "since": NOON - timedelta(1), "until": NOON, **question}
    )
    names = [name for name in Figures.__struct_fields__ if not name.startswith("ttft")]
    total = Figures(**{name: sum(getattr(row.figures, name) for row in rows) for name in names})
    out = io.StringIO() if out is None else out
    write_table(Answer(question, question.since, question.until, rows, total, before), out)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_plain_text():
    lines = draw(
        UsageRow(("acme",), figures(ttft_p50_us=1_500_250, ttft_p95_us=1_500_250)),
        UsageRow((None,), Figures(requests=1, denied=1)),
    )
    assert lines == [
        "tenant  requests     prompt  completion  cached  denied  unsettled  TTFT p50  p95 (ms)",
        "acme           1  1,234,567           0       0       0          0   1,500.2   1,500.2",
        "-              1          0           0       0       1          0         -         -",
        "total          2  1,234,567           0       0       1          0",
    ]


def test_a_name_cannot_command_the_terminal():
    """Groups are called whatever an issuer calls them."""
    lines = draw(UsageRow(("\x1b[2J\x9b1mops\r\nacme",), figures()))
    text = "\n".join(lines)
    assert "\ufffd[2J\ufffd1mops\ufffd\ufffdacme " in text
    assert not {"\x1b", "\x9b", "\r"} & set(text)


def test_what_there_is_nothing_of_has_no_column():
    assert "USD" not in draw(UsageRow(("acme",), figures()))[0]
    paid = figures(
        uncached_pusd=1_234_567_000_000_000, unpriced=2, own_pusd=1, gpu_us=1, energy_mj=1
    )
    header, row, total = draw(UsageRow(("acme",), paid))
    for heading in ("cost USD", "unpriced", "GPU h", "kWh", "own USD"):
        assert heading in header
    assert "1,234.567" in row
    assert "<0.000001" in total


def test_cents_and_millionths():
    rows = [UsageRow((str(n),), figures(cached_pusd=n)) for n in (10**12, 1_500_000, 10**6, 1, -1)]
    cells = [line.split()[7] for line in draw(*rows)[1:-1]]
    assert cells == ["1.00", "0.000002", "0.000001", "<0.000001", "<0.000001"]


def test_the_others_and_changes():
    lines = draw(
        UsageRow(("acme",), figures(), figures(requests=2)),
        UsageRow((None,), figures(), Figures(), other=True),
        top=1,
        compare=True,
        before=figures(requests=4),
    )
    assert lines[0].endswith("requests +/-  tokens +/-")
    assert lines[1].split()[-2:] == ["-50.0%", "+0.0%"]
    assert lines[2].startswith("(others)")
    assert lines[2].split()[-2:] == ["new", "new"]
    assert lines[3].split()[-2:] == ["-50.0%", "+100.0%"]


def test_on_a_terminal_no_number_is_cut_short():
    out = Terminal()
    draw(UsageRow(("a" * 300,), figures()), out=out)
    assert "1,234,567" in out.getvalue()
    assert "…" not in out.getvalue()


def test_nothing_is_said_in_words():
    assert draw() == ["no requests between 2026-01-30T12:00:00Z and 2026-01-31T12:00:00Z"]
