"""Tiles of pictures and maps of layers: every pixel, every kind of table, and the heat."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, assert_refused
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import featcli as api
from featcli.models.tiling import Tiling, heat

sizes = st.integers(1, 40)


@given(sizes, sizes, sizes, sizes, sizes, sizes)
def test_every_pixel_lies_in_a_tile_and_every_tile_in_the_picture(h, w, tall, wide, down, right):
    tiling = Tiling((min(tall, h), min(wide, w)), (min(down, tall), min(right, wide)))
    tiles = tiling.tiles(h, w)
    seen = np.zeros((h, w), int)
    for tile in tiles:
        part = tile.of(seen)
        assert part.shape == tiling.size
        part += 1
    assert seen.min() == 1 if tiling.stride == tiling.size and h % tall == w % wide == 0 else 1
    assert (seen > 0).all() or tiling.stride > tiling.size
    assert len({tile.name for tile in tiles}) == len(tiles)
    assert tiles == sorted(tiles)


def test_the_last_tile_is_moved_back_to_the_edge():
    rows = [(tile.row, tile.col) for tile in Tiling.of(4, 3).tiles(9, 5)]
    assert rows == [(r, c) for r in (0, 3, 5) for c in (0, 1)]
    assert [tile.col for tile in Tiling.of((2, 4)).tiles(2, 8)] == [0, 4]


def test_a_pixel_has_the_mean_of_its_tiles():
    tiles = Tiling.of((2, 4), (2, 2)).tiles(2, 6)
    found = heat(tiles, np.array([1.0, 5.0]), 2, 6)
    np.testing.assert_array_equal(found[0], [1, 1, 3, 3, 5, 5])


@pytest.fixture
def desk(workspace):
    folder = workspace / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, shape in (("a", (40, 60)), ("b", (33, 47))):
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{name}.png")
    return workspace


TILED = ("--model", "digits", "--layer", "conv3", "--tile", "28", "--stride", "20")


def expected(desk):
    """Part, place and vector of every tile, in the order of a table."""
    model = api.load_model("digits")
    rows = []
    for name in "ab":
        picture = api.read(desk / "photos" / f"{name}.png").data
        for tile in Tiling.of(28, 20).tiles(*picture.shape[:2]):
            vector = api.flatten(model.run(model.prepare(tile.of(picture)), "conv3"))
            rows.append(({"key": name, "part": tile.name, **tile._asdict()}, vector))
    return rows


def test_a_table_has_a_row_for_each_tile_with_its_place(desk, inline):
    wanted = expected(desk)
    assert inline("features", "photos", *TILED, "-o", "t.csv").returncode == 0
    with Path("t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(wanted)
    for row, (place, vector) in zip(rows, wanted, strict=True):
        assert {name: row[name] for name in place} == {k: str(v) for k, v in place.items()}
        assert float(row["features.5"]) == pytest.approx(vector[5], rel=1e-6)


@pytest.mark.parametrize("kind", ["npy", "npz", "jsonl", "parquet"])
def test_every_kind_of_table_holds_the_same_tiles(desk, inline, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    wanted = expected(desk)
    done = inline("features", "photos", *TILED, "-o", f"t.{kind}")
    assert done.returncode == 0, done.stderr
    vectors = np.stack([vector for _, vector in wanted])
    places = [place for place, _ in wanted]
    if kind == "npy":
        found, beside = np.load("t.npy"), json.loads((desk / "t.json").read_text())
        assert beside["parts"] == [one["part"] for one in places]
        assert beside["col"] == [one["col"] for one in places]
    elif kind == "npz":
        with np.load("t.npz") as archive:
            found = archive["features"]
            assert archive["parts"].tolist() == [one["part"] for one in places]
            assert archive["row"].tolist() == [one["row"] for one in places]
            assert archive["keys"].tolist() == [one["key"] for one in places]
    elif kind == "jsonl":
        rows = [json.loads(line) for line in (desk / "t.jsonl").read_text().splitlines()]
        assert [{name: row[name] for name in places[0]} for row in rows] == places
        found = np.array([row["features"] for row in rows])
    else:
        import pyarrow.parquet

        table = pyarrow.parquet.read_table("t.parquet").to_pydict()
        assert table["height"] == [28] * len(places)
        assert table["part"] == [one["part"] for one in places]
        found = np.array(table["features"])
    np.testing.assert_allclose(found, vectors, atol=1e-5)


@pytest.mark.parametrize("kind", ["csv", "npy", "npz", "jsonl"])
def test_neighbors_are_tiles(desk, inline, kind):
    inline("features", "photos", *TILED, "-o", f"t.{kind}", "-q")
    done = inline("neighbors", "a r0c20", "--in", f"t.{kind}", "-n", 3, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    names = [place for place, _ in expected(desk)]
    assert len(rows) == 3
    assert all({"key": r["key"], "part": r["part"]}.items() <= n.items() for r in rows
               for n in names if (n["key"], n["part"]) == (r["key"], r["part"]))  # fmt: skip
    assert ("a", "r0c20") not in [(row["key"], row["part"]) for row in rows]
    text = inline("neighbors", "a r0c20", "--in", f"t.{kind}", "-n", 1).stdout
    assert f"{rows[0]['key']} {rows[0]['part']}" in text


def test_tiles_of_one_image_come_and_go_together(desk, inline):
    assert inline("features", "photos", *TILED, "-o", "t.jsonl").returncode == 0
    before = (desk / "t.jsonl").read_text().splitlines()
    again = inline("features", "photos", *TILED, "-o", "t.jsonl")
    assert "0 done, 2 skipped" in again.stderr
    Image.new("L", (28, 28), 9).save(desk / "photos/a.png")
    done = inline("features", "photos", *TILED, "-o", "t.jsonl")
    assert "1 done, 1 skipped" in done.stderr
    after = (desk / "t.jsonl").read_text().splitlines()
    own = [line for line in before if '"key": "b"' in line]
    assert after[1:] == own
    assert json.loads(after[0])["part"] == "r0c0"


def test_workers_change_nothing(desk, inline):
    for jobs in (1, 3):
        inline("features", "photos", *TILED, "-j", jobs, "-o", f"t{jobs}.csv", "-q")
    assert (desk / "t1.csv").read_bytes() == (desk / "t3.csv").read_bytes()


def test_in_a_folder_a_tile_is_a_part_and_what_was_done_can_be_done_again(desk, inline):
    done = inline("features", "photos/b.png", *TILED, "-o", "out/")
    names = [line.removeprefix("out/") for line in done.stdout.splitlines()]
    assert names == [
        f"b.{p['part']}.digits-conv3.npy" for p, _ in expected(desk) if p["key"] == "b"
    ]
    said = inline("info", f"out/{names[1]}").stdout
    assert "crop 28x28 --at 0,19 | features" in said
    cut = inline("run", "crop 28x28 --at 0,19 | features digits --layer conv3", "photos/b.png",
                 "-o", "again.npy")  # fmt: skip
    assert cut.returncode == 0, cut.stderr
    np.testing.assert_array_equal(np.load("again.npy"), np.load(desk / "out" / names[1]))


def test_several_layers_of_tiles_are_columns_of_one_row(desk, inline):
    layers = ("--layer", "pool2", "--layer", "scores")
    assert inline("features", "photos", "--model", "digits", *layers, "--tile", 28, "-o", "t.npz")
    with np.load("t.npz") as archive:
        count = len(archive["parts"])
        assert archive["pool2"].shape == (count, 7 * 7 * 32)
        assert archive["scores"].shape == (count, 10)


def test_maps_keep_rows_cols_and_channels(desk, inline):
    given = ("features", "photos/a.png", "--model", "digits", "--layer", "pool2")
    assert inline(*given, "--maps", "-o", "m.npy").returncode == 0
    assert inline(*given, "-o", "v.npy").returncode == 0
    maps = np.load("m.npy")
    assert maps.shape == (7, 7, 32)
    np.testing.assert_array_equal(maps.transpose(2, 0, 1).reshape(1, -1), np.load("v.npy"))
    run = inline("run", "feature-maps digits --layer pool2 | pool --global", "photos/a.png",
                 "-o", "g.npy")  # fmt: skip
    assert run.returncode == 0, run.stderr
    np.testing.assert_array_equal(np.load("g.npy")[0, 0], maps.max(axis=(0, 1)))


def test_maps_of_tiles_are_files_of_an_image(desk, inline):
    given = ("--model", "digits", "--layer", "pool2", "--maps", "--tile", "28")
    done = inline("features", "photos", *given, "-o", "maps/")
    assert done.returncode == 0, done.stderr
    assert np.load("maps/a.r12c28.digits-pool2-maps.npy").shape == (7, 7, 32)


def test_a_heat_is_drawn_over_the_photo(workspace, inline):
    given = ("features", SAMPLES / "cat.jpg", "--layer", "probabilities", "--tile", 128)
    done = inline(*given, "--heat", "h.png", "--heat-of", "tiger cat")
    assert (done.returncode, done.stdout, done.stderr) == (0, "h.png\n", "")
    with Image.open("h.png") as picture:
        assert picture.size[0] > 2 * 451
    both = inline(*given, "--heat", "h2.png", "--heat-of", "282", "-o", "t.csv")
    assert both.stdout.split() == ["h2.png", "t.csv"]
    assert Path("h.png").read_bytes() == Path("h2.png").read_bytes()


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (["--tile", "41"], 1, "a tile of 41x41 is larger than the picture of 40x60"),
        (["--tile", "10x61"], 1, "a tile of 10x61 is larger than the picture of 40x60"),
        (["--stride", "4"], 2, "--stride needs --tile"),
        (["--heat", "h.png"], 2, "--heat needs --tile"),
        (["--tile", "28", "--heat-of", "3"], 2, "--heat-of needs --heat"),
        (["--tile", "0"], 2, "--tile"),
        (["--tile", "axb"], 2, "--tile"),
        (["--maps", "--l2"], 2, "--l2 is for vectors"),
        (["--maps"], 2, "scores gives a vector of 10 values"),
        (["--tile", "28", "--heat", "h.jpg"], 2, "the suffix must be .png"),
        (
            ["--tile", "28", "--heat", "h.png", "--heat-of", "zzz"],
            2,
            "a tile has no value 'zzz': give a number of 0 to 9",
        ),
        (["--tile", "28", "--heat", "h.png", "--heat-of", "-1"], 2, "no value '-1'"),
        (["--layer", "conv3", "--maps", "-o", "x.csv"], 2, "leave out --maps, or give a folder"),
        (["--tile", "50", "--heat", "h.png"], 1, "a tile of 50x50 is larger"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(desk, inline, given, code, words):
    base = ("features", "photos/a.png", "--model", "digits", "--layer", "scores")
    assert_refused(inline(*base, *given), code, words)
    assert not (desk / "h.png").exists()


def test_a_stride_that_leaves_pixels_out_says_so(desk, inline):
    given = ("features", "photos/a.png", "--model", "digits", "--tile", 28)
    note = "--stride 30x30 is larger than --tile 28x28: the pixels between the tiles are in none"
    assert note in inline(*given, "--stride", 30, "-o", "t.csv").stderr
    assert "larger" not in inline(*given, "--stride", 28, "-o", "u.csv").stderr


def test_one_small_image_among_many_fails_alone(desk, inline):
    Image.new("L", (20, 90)).save(desk / "photos/small.png")
    done = inline("features", "photos", *TILED, "-o", "t.csv")
    assert done.returncode == 1
    assert "photos/small.png: features: a tile of 28x28 is larger" in done.stderr
    with Path("t.csv").open(newline="") as file:
        assert {row["key"] for row in csv.DictReader(file)} == {"a", "b"}


def test_crop_at_a_place():
    x = np.arange(5 * 6 * 2).reshape(5, 6, 2)
    np.testing.assert_array_equal(api.crop(x, (2, 3), at=(1, 2)), x[1:3, 2:5])
    with pytest.raises(ValueError, match="cannot cut 2x3 at 4,0 out of a picture of 5x6"):
        api.crop(x, (2, 3), at=(4, 0))
