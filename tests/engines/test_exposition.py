"""Single lines; what holds of whole texts is in test_conformance.py."""

import pytest

from engines.exposition import (
    MOST,
    MOST_BUCKETS,
    MOST_HEAD_BYTES,
    MOST_LINES,
    Exposition,
    UnreadableError,
    expect,
    histogram,
    remember_labels,
    whole,
)
from engines.load import Total

A = b"some:metric"


@pytest.mark.parametrize(
    ("line", "value", "labels"),
    [
        (b"some:metric 1", 1, {}),
        (b"some:metric  1.5e+03  1790000000000", 1500, {}),
        (b'some:metric{a="b"} 2.0', 2, {"a": "b"}),
        (b'some:metric{a="b",c="d,e",} 2', 2, {"a": "b", "c": "d,e"}),
        (b'some:metric { a="b" } 2', None, None),  # no producer writes a space there
        (b'some:metric{a="x} 3 # {"} 7 # {trace="}"} 9 1.5', 7, {"a": "x} 3 # {"}),
        (b'some:metric{a="x # y"} 7', 7, {"a": "x # y"}),
        (rb'some:metric{a="q\"},\\",b="1\n2"} 4', 4, {"a": 'q"},\\', "b": "1\n2"}),
        (b'some:metric{a="\xff"} 4', 4, {"a": "\N{REPLACEMENT CHARACTER}"}),
        (b"some:metric_more 1", None, None),
        (b"# some:metric 1", None, None),
        (b" some:metric 1", None, None),
        (b"some:metric NaN", None, None),
        (b"some:metric -1", None, None),
        (b"some:metric +Inf", None, None),
        (b"some:metric %d" % (2 * MOST), None, None),
    ],
)
def test_a_line(line, value, labels):
    try:
        samples = Exposition(line + b"\n", [A]).samples(A)
    except UnreadableError:
        samples = []
    assert [sample.value for sample in samples] == ([] if value is None else [value])
    assert [dict(sample.labels()) for sample in samples] == ([] if labels is None else [labels])


@pytest.mark.parametrize(
    "text",
    [b"some:metric 1", b"some:metric\n", b"some:metric \n", b"some:metric{\n", b"some:metric{} x\n",
     b'some:metric{a="b # \n', b'some:metric{a="' + b'\\"' * 100_000 + b" # \n"],
)  # fmt: skip
def test_what_is_cut_or_no_number(text):
    with pytest.raises(UnreadableError):
        Exposition(text, [A])


def test_sums_means_and_histograms():
    names = [A, b"share", *histogram(b"time"), b"time_bucket"]
    found = Exposition(
        b'some:metric{e="0"} 1\nsome:metric{e="1"} 2\nshare 0.5\nshare{e="1"} 1.5\n'
        b'time_sum 3\ntime_sum{e="1"} 4\ntime_count 2\n'
        b'time_bucket{le="0.5"} 1\ntime_bucket{le="0.1"} 1\ntime_bucket{le="0.5",e="1"} 2\n'
        b'time_bucket{le="+Inf"} 9\ntime_bucket{le="much"} 9\ntime_bucket 9\n',
        names,
    )
    assert found.sum(A) == 3
    assert found.mean_share(b"share") == 0.75
    assert found.total(b"time") == Total(7, 2)
    assert found.buckets(b"time") == ((0.1, 1), (0.5, 3))
    nothing = Exposition(b"", names)
    assert (nothing.sum(A), nothing.mean_share(b"share"), nothing.total(b"time")) == (0, 0, Total())
    found.need(A)
    with pytest.raises(UnreadableError, match="it has no some:metric"):
        nothing.need(A)


def test_a_histogram_has_so_many_buckets_at_most():
    lines = b"".join(b'time_bucket{le="%d"} 1\n' % n for n in range(MOST_BUCKETS + 1))
    found = Exposition(lines, [b"time_bucket"])
    with pytest.raises(UnreadableError, match="more than 256 buckets"):
        found.buckets(b"time")


def test_whose_text_it_is():
    expect(b"", b"tgi_")
    expect(b"\n", b"tgi_")
    expect(b"tgi_queue_size 1\n", b"tgi_")
    with pytest.raises(UnreadableError, match="it has no tgi_ metrics"):
        expect(b"404\n", b"tgi_")


@pytest.mark.parametrize(
    ("written", "count"),
    [("32", 32), ("0", 0), ("None", 0), (None, 0), ("-4", 0), ("nan", 0), ("inf", 0), ("1e300", 0)],
)
def test_counts_in_labels(written, count):
    assert whole(written) == count


def test_what_all_lines_of_a_text_add_up_to_fits_into_64_bits():
    assert MOST * MOST_LINES < 2**63


def test_long_labels_are_read_and_not_remembered():
    before = remember_labels.cache_info().currsize
    text = b'some:metric{a="%s"} 1\n' % (b"x" * MOST_HEAD_BYTES)
    (sample,) = Exposition(text, [A]).samples(A)
    assert sample.label("a") == "x" * MOST_HEAD_BYTES
    assert remember_labels.cache_info().currsize == before
