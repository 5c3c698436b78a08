"""featcli neighbors: by image, by key, from a list; as text, tables and a page."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, assert_refused

PHOTOS = ("astronaut", "cat", "coffee", "retina", "rocket")


@pytest.fixture
def table(workspace, inline):
    """Small pictures of five photos, as vectors."""
    Path("in").mkdir()
    for name in PHOTOS:
        shutil.copy(SAMPLES / f"{name}.jpg", "in")
    inline("run", "resize 8x8 | gray | flatten", "in", "-o", "t.npz")
    return "t.npz"


def found(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def expected(name, metric):
    with np.load("t.npz") as archive:
        keys, vectors = archive["keys"].tolist(), archive["features"].astype(float)
    own = vectors[keys.index(name)]
    if metric == "l2":
        scores = np.linalg.norm(vectors - own, axis=1)
    else:
        scores = vectors @ own / np.linalg.norm(vectors, axis=1) / np.linalg.norm(own)
    order = np.argsort(scores if metric == "l2" else -scores, kind="stable")
    return [(keys[row], scores[row]) for row in order if keys[row] != name]


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_an_image_and_its_key_have_the_same_neighbors_without_itself(metric, table, inline):
    score = "cosine" if metric == "cosine" else "distance"
    for query in ("in/cat.jpg", "cat"):
        rows = found(inline("neighbors", query, "--in", table, "--metric", metric, "--json"))
        assert [row["rank"] for row in rows] == [1, 2, 3, 4]
        for row, (key, value) in zip(rows, expected("cat", metric), strict=True):
            assert row["key"] == key
            assert row[score] == pytest.approx(value)


def test_a_query_may_keep_its_own_row(table, inline):
    rows = found(inline("neighbors", "cat", "--in", table, "--with-self", "-n", "1", "--json"))
    assert [row["key"] for row in rows] == ["cat"]


def test_queries_come_as_a_list(table, inline):
    done = inline("neighbors", "-", "--in", table, "-n", "1", stdin="cat\nin/rocket.jpg\r\n\n")
    assert [line for line in done.stdout.splitlines() if line[0] != " "] == ["cat", "in/rocket.jpg"]


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_neighbors_of_a_query_become_a_table(kind, table, inline):
    if kind == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra parquet")
    output = f"far/n{kind}"
    assert inline("neighbors", "cat", "--in", table, "-o", output).stdout == f"{output}\n"
    if kind == ".jsonl":
        rows = found(inline("neighbors", "cat", "--in", table, "--json"))
        lines = [json.loads(line) for line in Path(output).read_text().splitlines()]
        assert [line["key"] for line in lines] == [row["key"] for row in rows]
        assert all(Path("far", line["file"]).is_file() for line in lines)


def test_all_neighbors_become_the_column_that_embedding_atlas_reads(table, inline):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    inline("neighbors", "--all", "-n", "2", "--in", table, "-o", "all.parquet")
    rows = parquet.read_table("all.parquet").to_pylist()
    assert [row["key"] for row in rows] == list(PHOTOS)
    for number, row in enumerate(rows):
        assert len(row["neighbors"]["ids"]) == 2
        assert number not in row["neighbors"]["ids"]
        near = [PHOTOS[one] for one in row["neighbors"]["ids"]]
        assert near == [key for key, _ in expected(PHOTOS[number], "cosine")][:2]
        distances = row["neighbors"]["distances"]
        assert distances == sorted(distances)


def test_a_page_shows_thumbnails_and_counts_what_is_gone(table, inline):
    Path("in/coffee.jpg").unlink()
    done = inline("neighbors", "cat", "--in", table, "-o", "n.html")
    assert done.returncode == 0
    assert "1 image was not found" in done.stderr
    page = Path("n.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 4
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_new_image_is_reduced_as_the_table_was(table, inline):
    inline("convert", table, "-o", "small.npz", "--pca", "3", "--l2")
    rows = found(inline("neighbors", "in/cat.jpg", "--in", "small.npz", "--with-self",
                        "-n", "1", "--json"))  # fmt: skip
    assert rows[0]["key"] == "cat"
    assert rows[0]["cosine"] == pytest.approx(1, abs=1e-6)


def test_a_table_that_does_not_say_how_it_was_made_needs_a_model(table, inline):
    with np.load(table) as archive:
        np.savez("bare.npz", keys=archive["keys"], features=archive["features"])
    assert inline("neighbors", "cat", "--in", "bare.npz").returncode == 0
    assert_refused(inline("neighbors", "in/cat.jpg", "--in", "bare.npz"), 2, "give --model")
    done = inline("neighbors", "in/cat.jpg", "--in", "bare.npz", "--model", "imagenet")
    assert_refused(done, 1, "gives a vector of 1280 values")


def test_rows_of_nan_are_named_and_left_out(workspace, inline):
    np.savez("t.npz", keys=["a", "b", "c"], features=np.array([[1, 0], [np.nan, 0], [1, 1]]))
    done = inline("neighbors", "a", "--in", "t.npz", "--json")
    assert "1 row holds NaN" in done.stderr
    assert [row["key"] for row in found(done)] == ["c"]


def test_one_row_has_no_neighbor(workspace, inline):
    np.savez("t.npz", keys=["a"], features=np.ones((1, 2)))
    assert found(inline("neighbors", "a", "--in", "t.npz", "--json")) == []
    assert_refused(inline("neighbors", "a", "--in", "t.npz", "-o", "n.csv"), 2, "no other row")


def test_what_cannot_be_looked_for_is_refused(table, inline):
    assert_refused(inline("neighbors", "cat"), 2, "--in TABLE")
    assert_refused(inline("neighbors", "--in", table), 2, "no query")
    assert_refused(inline("neighbors", "none", "--in", table), 2, "nor a key of")
    assert_refused(inline("neighbors", "cat", "--in", table, "-o", "x.txt"), 2, ".html")
    assert_refused(inline("neighbors", "cat", "--in", "none.npz"), 1, "none.npz")
    assert_refused(inline("neighbors", "cat", "--in", "in/cat.jpg"), 1, "a table is one of")
    Path("in/broken.jpg").write_bytes(b"\xff\xd8\xff")
    assert_refused(inline("neighbors", "in/broken.jpg", "--in", table), 1, "broken")


@pytest.fixture
def tiled(workspace, inline):
    """A table of the tiles of two photos."""
    Path("in").mkdir()
    for name in ("cat", "rocket"):
        shutil.copy(SAMPLES / f"{name}.jpg", "in")
    given = ("--tile", "150x200", "--stride", "150x200")
    assert inline("features", "in", *given, "-o", "tiles.npz").returncode == 0
    return np.load("tiles.npz")


def found_by_query(done):
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        found.setdefault(row["query"], []).append((row["key"], row["part"]))
    return found


def test_an_image_asks_for_each_of_its_tiles_and_so_does_its_key(tiled, inline):
    parts = [part for key, part in zip(tiled["keys"], tiled["parts"], strict=True) if key == "cat"]
    assert len(parts) == 6
    command = ("--in", "tiles.npz", "-n", 3, "--json")
    by_key = found_by_query(inline("neighbors", "cat", *command))
    assert list(by_key) == [f"cat {part}" for part in parts]
    by_image = found_by_query(inline("neighbors", "in/cat.jpg", *command))
    assert {name.replace("in/cat.jpg", "cat"): one for name, one in by_image.items()} == by_key
    for query, near in by_key.items():
        assert tuple(query.split()) not in near
    itself = found_by_query(inline("neighbors", "in/cat.jpg", *command, "--with-self"))
    assert [near[0] for near in itself.values()] == [("cat", part) for part in parts]


def test_one_tile_is_asked_for_by_its_place_and_a_smaller_image_as_a_whole(tiled, inline):
    command = ("--in", "tiles.npz", "-n", 2, "--json")
    assert list(found_by_query(inline("neighbors", "cat r0c200", *command))) == ["cat r0c200"]
    assert list(found_by_query(inline("neighbors", "small.png", *command))) == ["small.png"]
    assert_refused(inline("neighbors", "cat r1c1", *command), 2, "nor a key of tiles.npz")


def test_duplicates_are_whole_images(tiled, inline):
    assert_refused(inline("duplicates", "tiles.npz"), 2, "has a row for each tile")


@pytest.mark.parametrize("command", [
    ["neighbors", "cat", "--in", "t.parquet"],
    ["duplicates", "t.parquet"],
    ["convert", "t.npz", "-o", "new.parquet"],
    ["convert", "t.parquet", "-o", "new.npz"],
    ["neighbors", "--all", "--in", "t.npz", "-o", "new.parquet"],
    ["neighbors", "cat", "--in", "t.npz", "-o", "new.parquet"],
    ["info", "t.parquet"],
    ["train", "t.parquet", "-o", "m.npz", "--from", "imagenet", "--head-only"],
    ["evaluate", "imagenet", "t.parquet"],
])  # fmt: skip
def test_a_missing_package_is_named_with_its_command(command, table, inline, monkeypatch):
    Path("t.parquet").write_bytes(b"PAR1")
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    assert_refused(inline(*command), 2, "pip install 'featcli[parquet]'")
    assert not Path("new.parquet").exists()


def test_one_row_has_no_copy(workspace, inline):
    np.savez("t.npz", keys=np.array(["a"]), features=np.ones((1, 3), np.float32))
    done = inline("duplicates", "t.npz", "--check")
    assert (done.returncode, done.stdout) == (0, "")
    assert "1 image: 0 duplicates in 0 groups" in done.stderr


def test_rows_of_nan_are_named_by_duplicates_and_by_all_neighbors(workspace, inline):
    rows = np.array([[1, 0], [np.nan, 0], [1, 0.1]], np.float32)
    np.savez("t.npz", keys=np.array(["a", "b", "c"]), features=rows)
    done = inline("duplicates", "t.npz", "--json")
    (group,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["key"] for one in group["members"]] == ["a", "c"]
    assert "1 row holds NaN or infinity, left out: b" in done.stderr
    done = inline("neighbors", "--all", "--in", "t.npz", "--json")
    assert [json.loads(line)["query"] for line in done.stdout.splitlines()] == ["a", "c"]
    done = inline("neighbors", "b", "--in", "t.npz")
    assert (done.returncode, done.stdout) == (0, "")
    assert "left out: b" in done.stderr
