import msgspec

from bench.goals import judge
from bench.report import Setting, Table, tables, to_json, to_markdown, to_text
from bench.results import summarise
from bench.runs import MemoryRun, Runs
from tests.bench.samples import sample, stream

SETTING = Setting(2, 0.1, 0.9, "1.40.0", "3.11.7", 400.0)
TABLE = Table("Fruit", ("what", "grams"), [["fig", "50"], ["pineapple", "1200"]], "Ripe.")


def full():
    runs = Runs(
        streams={"bare": [stream()], "headgate": [stream(worker_s=0.01)]},
        idle=[stream(worker_s=0.01)],
        messages_per_stream=[4.0],
        memory=MemoryRun(10, 1 << 20, 50, 1 << 20),
    )
    for name, worker in (("bare", None), ("echo", 300), ("headgate", 400)):
        runs.closed[name, 16] = [sample(worker)]
        runs.open[name, 100] = [sample(worker)]
    return summarise(runs)


def test_text_is_aligned():
    assert to_text([TABLE]).splitlines() == [
        "Fruit",
        "----------------",
        "what       grams",
        "----------------",
        "fig           50",
        "pineapple   1200",
        "Ripe.",
    ]


def test_markdown_is_a_table():
    assert to_markdown([TABLE]).splitlines() == [
        "### Fruit",
        "",
        "| what | grams |",
        "| --- | ---: |",
        "| fig | 50 |",
        "| pineapple | 1200 |",
        "",
        "Ripe.",
    ]


def test_every_phase_has_its_table_with_a_cell_for_each_column():
    results = full()
    made = tables(results, judge(results), SETTING)
    assert [table.title.split(":")[0] for table in made] == [
        "Closed loop, 4 kB chats",
        "Headgate's CPU per request over another's",
        "Open loop",
        "Streams",
        "Goals",
    ]
    for table in made:
        assert {len(row) for row in table.rows} == {len(table.head)}
    bare = made[0].rows[0]
    assert bare[0] == "bare"
    assert "-" in bare  # it has no worker


def test_nothing_measured_makes_no_table():
    assert tables(summarise(Runs()), [], SETTING) == []


def test_json_holds_every_figure():
    results = full()
    goals = judge(results)
    whole = msgspec.json.decode(to_json(results, goals, SETTING))
    assert whole["setting"]["envoy"] == "1.40.0"
    assert [row["variant"] for row in whole["results"]["closed"]] == ["bare", "echo", "headgate"]
    assert whole["results"]["ratios"][0]["worker"] == 400 / 300
    assert len(whole["goals"]) == len(goals)
