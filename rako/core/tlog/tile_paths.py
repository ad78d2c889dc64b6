"""Where a tile lies below a log's address (C2SP tlog-tiles): `tile/<level>/<index>[.p/<width>]`.

The index is spelled in groups of three digits, all but the last after an `x` – 1234067 is `x001/x234/067` – so that no
folder grows past a thousand files. Only an incomplete tile says its width.
"""

import re

from rako.core.tlog.encoding import MAX_SIZE
from rako.core.tlog.tree import TILE_WIDTH

MAX_LEVEL = 63
_FORM = re.compile(r"tile/([0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?\Z")


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile, full unless `width` is less than 256. Raises ValueError if there can be no such tile."""
    if not (0 <= level <= MAX_LEVEL and 0 <= index <= MAX_SIZE and 1 <= width <= TILE_WIDTH):
        raise ValueError("no such tile")
    *above, last = f"{index:,}".split(",")
    folders = "".join(f"x{group:0>3}/" for group in above)
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{folders}{last:0>3}{partial}"


def parse_tile_path(text: str) -> tuple[int, int, int]:
    """Level, index and width of the tile at a path. Raises ValueError for all but the one spelling `tile_path` has."""
    match = _FORM.match(text)
    if match is None:
        raise ValueError("not the path of a tile")
    level, index, width = int(match[1]), int(re.sub("[x/]", "", match[2])), int(match[3] or TILE_WIDTH)
    if tile_path(level, index, width) != text:
        raise ValueError("not the path of a tile")
    return level, index, width
