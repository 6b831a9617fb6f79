"""What an image counts."""

import base64

import pytest

from extproc.counting.dimensions import Size
from extproc.counting.images import ImageRule, Picture, count_image, count_tiles, size_of
from tests.extproc.counting.test_dimensions import png

TILES = ImageRule(0, 85, 170, 512)


def picture(width, height, **more):
    data = base64.b64encode(png(width, height)).decode()
    return Picture(f"data:image/png;base64,{data}", **more)


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (1024, 1024, 765),  # OpenAI's own examples
        (2048, 4096, 1105),
        (1, 1, 255),
        (512, 512, 255),
        (513, 512, 425),
        (10_000, 10, 85 + 170 * 4),
        (768, 2048, 85 + 170 * 8),
    ],
)
def test_tiles(width, height, tokens):
    assert count_tiles(TILES, Size(width, height)) == tokens
    assert count_image(TILES, picture(width, height)) == tokens


def test_low_detail_fixed_numbers_and_unknown_sizes():
    assert count_image(TILES, picture(1024, 1024, is_low=True)) == 85
    assert count_image(ImageRule(), picture(9, 9)) == 765
    assert count_image(ImageRule(1000), Picture("")) == 1000
    assert count_image(TILES, Picture("https://example.com/x.png")) == 85 + 170 * 8


@pytest.mark.parametrize(
    "url", ["", "data:", "data:image/png,xx", "data:image/png;base64", "https://x,y", "x" * 1000]
)
def test_urls_that_tell_no_size(url):
    assert size_of(Picture(url)) is None


def test_data_without_a_url():
    data = base64.b64encode(png(3, 4)).decode()
    assert size_of(Picture("", data=data)) == Size(3, 4)
    assert size_of(Picture(f"DATA:image/png;charset=x;BASE64,{data}")) == Size(3, 4)
