import pytest

from rako.core.tlog.tile_paths import parse_tile_path, tile_path

TABLE = [
    ((0, 0, 256), "tile/0/000"),
    ((0, 0, 1), "tile/0/000.p/1"),
    ((0, 273, 112), "tile/0/273.p/112"),
    ((1, 999, 255), "tile/1/999.p/255"),
    ((2, 1000, 256), "tile/2/x001/000"),
    ((8, 1234067, 256), "tile/8/x001/x234/067"),
    ((8, 1234067, 8), "tile/8/x001/x234/067.p/8"),
    ((63, 5_000_000_000, 256), "tile/63/x005/x000/x000/000"),
    ((0, 2**63 - 1, 256), "tile/0/x009/x223/x372/x036/x854/x775/807"),
]


@pytest.mark.parametrize(("tile", "path"), TABLE)
def test_a_tiles_path_is_the_specified_one(tile, path):
    assert tile_path(*tile) == path


@pytest.mark.parametrize(("tile", "path"), TABLE)
def test_a_tiles_path_is_read_back(tile, path):
    assert parse_tile_path(path) == tile


@pytest.mark.parametrize(
    "tile", [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 2**63, 1), (0, 0, 0), (0, 0, 257), (0, 0, -1)]
)
def test_there_is_no_path_to_what_is_no_tile(tile):
    with pytest.raises(ValueError, match="no such tile"):
        tile_path(*tile)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0/000",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/000\n",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/000",
        "tile/0/x000/x001/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/x01/000",
        "tile/0/X001/000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/entries/000",
        "tile/0/٠٠٠",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000/p/1",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
        "tile/0/x001/x000/x000/x000/x000/x000/x000/000",
        "tile/0/../000",
    ],
)
def test_another_spelling_of_a_tiles_path_is_refused(text):
    with pytest.raises(ValueError, match=r"not the path of a tile|no such tile"):
        parse_tile_path(text)
