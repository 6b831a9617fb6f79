"""What an image counts, by the rule of its model.

Models cut images into patches in their own ways; a rule gives a fixed number, or one for each tile.
Source of the rule of tiles: OpenAI, "Images and vision", calculating costs (GPT-4o: 85 and 170).
"""

import math

import msgspec

from extproc.counting.dimensions import Size, read_size

FIXED_TOKENS = 765
"""Where a policy has no rule: a square image by OpenAI's rule."""
LONGEST_PX, SHORTEST_PX = 2048, 768
"""An image is shrunk to fit a square of the one, then until its shorter side is the other."""
MOST_TILES_SIZE = Size(LONGEST_PX, SHORTEST_PX)
"""What an image of unknown size may be at most."""


class Picture(msgspec.Struct, frozen=True):
    """An image in a request."""

    url: str
    data: str = ""
    """Base64, where it stands in the body without a URL."""
    is_low: bool = False
    """The client asked for low detail."""


class ImageRule(msgspec.Struct, frozen=True):
    """`fixed_tokens`, or where that is 0: `base_tokens`, and `tile_tokens` for each tile."""

    fixed_tokens: int = FIXED_TOKENS
    base_tokens: int = 0
    tile_tokens: int = 0
    tile_px: int = 512


def count_image(rule: ImageRule, picture: Picture) -> int:
    if rule.fixed_tokens:
        return rule.fixed_tokens
    if picture.is_low:
        return rule.base_tokens
    return count_tiles(rule, size_of(picture) or MOST_TILES_SIZE)


def size_of(picture: Picture) -> Size | None:
    """Read how large it is, if its bytes are in the request."""
    if picture.data:
        return read_size(picture.data)
    head, comma, _ = picture.url[:128].partition(",")
    if not comma or not head.lower().startswith("data:") or not head.lower().endswith(";base64"):
        return None
    return read_size(picture.url, len(head) + 1)


def count_tiles(rule: ImageRule, size: Size) -> int:
    """Shrink, and see how many tiles cover what is left. Nothing is made larger."""
    scale = min(1.0, LONGEST_PX / max(size))
    scale *= min(1.0, SHORTEST_PX / (min(size) * scale))
    across = math.ceil(round(size.width * scale) / rule.tile_px)
    down = math.ceil(round(size.height * scale) / rule.tile_px)
    return rule.base_tokens + rule.tile_tokens * max(across, 1) * max(down, 1)
