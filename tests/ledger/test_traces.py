"""Wherever a name is left in the state directory, it is said when it goes."""

from ledger.traces import Trace, find_traces

FILES = {
    "journal/1-2-0.jsonl": b'{"user":"al\\u00e9"}\n{"user":"al\xc3\xa9"}\n',
    "alerts/1.alert.json": b'{"text":"al\xc3\xa9 is above"}',
    "log/access.jsonl": b'{"path":"/al\xc3\xa9"}',
    "log/access.jsonl.1.gz": b"al\xc3\xa9",
    "log/up.log": "alé".encode(),
    "counters/dump.rdb": b"\x00u:acme/al\xc3\xa9\x00",
    "policy/keys.yaml": b"user: al\xc3\xa9",
    "mine.txt": b"al\xc3\xa9, al\xc3\xa9",
    "ledger.sqlite": b"al\xc3\xa9",
    "ledger.sqlite-wal": b"al\xc3\xa9",
    "empty": b"",
    "others.txt": b"al\xc3\xa9-marie al\xc3\xa9@x.org val\xc3\xa9 al\xc3\xa9s",
}


def test_every_file_but_the_ledger_is_looked_into(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "linked").symlink_to(tmp_path / "mine.txt")
    found = {
        trace.file: (trace.times, trace.gone.split()[1]) for trace in find_traces(tmp_path, "alé")
    }
    assert found == {
        "alerts/1.alert.json": (1, "it"),
        "counters/dump.rdb": (1, "the"),
        "journal/1-2-0.jsonl": (2, "its"),
        "log/access.jsonl": (1, "the"),
        "log/access.jsonl.1.gz": (1, "you"),
        "log/up.log": (1, "you"),
        "mine.txt": (2, "you"),
        "policy/keys.yaml": (1, "the"),
    }


def test_as_json_spells_it(tmp_path):
    (tmp_path / "x").write_bytes(b'{"user":"a\\"b"}')
    assert list(find_traces(tmp_path, 'a"b')) == [Trace("x", 1, "when you delete it")]
