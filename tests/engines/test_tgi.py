from engines.load import NOTHING
from engines.tgi import TGI, read_load


def test_gauges_show_up_only_once_they_are_set():
    assert read_load(b"") == NOTHING
    assert read_load(b"tgi_queue_size 3\n").waiting == 3
    assert read_load(b"tgi_batch_current_size 3\n").running == 3


def test_it_has_no_dialect_but_openais_older_ones():
    assert TGI.operations == {"chat", "completions"}
