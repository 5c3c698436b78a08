"""Tables and shards: all inputs in few files."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from batch_tools import rows_of, save_images
from conftest import assert_refused
from PIL import Image

from featcli.frame import Frame, Sample, Source
from featcli.io import tables
from featcli.io.tables import RowSink, vectors

FLAT = "pool 2 | flatten"


@pytest.fixture
def images(workspace):
    save_images(workspace / "in", 7)
    return workspace / "in"


def wanted(images):
    from featcli import Pipeline, read

    return np.array([Pipeline(FLAT)(read(path)).data for path in sorted(images.iterdir())])


def test_every_kind_of_table_holds_the_vectors(images, workspace, inline):
    for name in ("t.csv", "t.jsonl", "t.npz", "t.npy"):
        assert inline("run", FLAT, "in", "-o", name).stdout == f"{name}\n"
    matrix = wanted(images)
    keys = [path.stem for path in sorted(images.iterdir())]
    with Path("t.csv").open(newline="") as stream:
        head, *rows = csv.reader(stream)
    assert head == ["key", "file", *(f"features.{number}" for number in range(48))]
    assert [row[0] for row in rows] == keys
    assert np.array_equal(np.array([row[2:] for row in rows], int), matrix)
    lines = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    assert np.array_equal([line["features"] for line in lines], matrix)
    with np.load("t.npz") as found:
        assert found["keys"].tolist() == keys
        assert np.array_equal(found["features"], matrix)
        assert found["features"].dtype == matrix.dtype
    assert np.array_equal(np.load("t.npy"), matrix)
    assert json.loads(Path("t.json").read_text())["keys"] == keys


def test_a_parquet_table_is_made_gone_on_with_and_changed(images, workspace, inline):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    command = ["run", FLAT, "in", "-o", "t.parquet"]
    assert inline(*command).stdout == "t.parquet\n"
    table = parquet.read_table("t.parquet")
    assert table["key"].to_pylist() == [path.stem for path in sorted(images.iterdir())]
    assert np.array_equal(table["features"].to_pylist(), wanted(images))
    before = Path("t.parquet").read_bytes()
    assert inline(*command).stderr.endswith("0 done, 7 skipped, 0 failed\n")
    (images / "0003.png").touch()
    assert inline(*command, "-j", "2").stderr.endswith("1 done, 6 skipped, 0 failed\n")
    assert Path("t.parquet").read_bytes() == before
    (images / "0001.png").unlink()
    assert inline(*command).stderr.endswith("0 done, 6 skipped, 0 failed\n")
    assert np.array_equal(parquet.read_table("t.parquet")["features"].to_pylist(), wanted(images))


def test_a_parquet_table_that_was_cut_short_is_completed(images, workspace, inline):
    pytest.importorskip("pyarrow", reason="needs the extra parquet")
    command = ["run", FLAT, "in", "-j", "1", "-o"]
    inline(*command, "clean.parquet")
    good = (images / "0004.png").read_bytes()
    (images / "0004.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert inline(*command, "t.parquet", "--fail-fast").returncode == 1
    assert Path(".featcli/t.parquet.db").exists()
    assert not Path("t.parquet").exists()
    (images / "0004.png").write_bytes(good)
    assert inline(*command, "t.parquet").stderr.endswith("3 done, 4 skipped, 0 failed\n")
    assert Path("t.parquet").read_bytes() == Path("clean.parquet").read_bytes()


@pytest.mark.parametrize("change", ["another image", "one less"])
def test_a_table_that_could_not_be_renewed_is_renewed_by_the_next_run(
    change, images, workspace, inline, monkeypatch
):
    command = ["run", "resize 4x4 | flatten", "in", "-o", "t.csv", "-q"]
    assert inline(*command).returncode == 0
    if change == "one less":
        next(Path("in").glob("*.png")).unlink()
    else:
        save_images(workspace / "in", 3, seed=9)
    with monkeypatch.context() as patch:
        patch.setattr(tables, "write_table", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        assert inline(*command).returncode == 1
    assert inline(*command).returncode == 0
    assert inline(*command[:-2], "clean.csv", "-q").returncode == 0
    assert Path("t.csv").read_bytes() == Path("clean.csv").read_bytes()


def test_classes_in_a_parquet_table_are_columns(images, workspace, inline):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    assert inline("run", "classify imagenet", "in", "-o", "t.parquet").returncode == 0
    inline("run", "classify imagenet", "in", "-o", "t.jsonl")
    lines = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    table = parquet.read_table("t.parquet")
    assert len(table.column_names) == 1002
    found = table["tiger cat"].to_numpy()
    assert found.dtype == np.float32
    assert np.array_equal(found, np.float32([line["tiger cat"] for line in lines]))


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (["a", "b", "a"], ["a", "b", "a (2)"]),
        (["a (2)", "a", "a", "a"], ["a (2)", "a", "a (3)", "a (4)"]),
        (["key", "keys"], ["key (2)", "keys"]),
        (["file", "label", "x"], ["file (2)", "label (2)", "x"]),
    ],
)
def test_no_column_hides_another_of_the_same_name(labels, columns):
    frame = Frame(np.arange(len(labels), dtype=np.float32), tuple(labels), Source("k", "f"))
    (written,) = RowSink(vectors).write(Sample(frame.source, (frame,)), {})
    assert written.about["labels"] == {"features": columns}


def test_columns_are_named_by_labels(images, workspace, inline):
    assert inline("run", "classify imagenet", "in", "-o", "t.csv").returncode == 0
    with Path("t.csv").open(newline="") as stream:
        head, *rows = csv.reader(stream)
    assert len(set(head)) == len(head) == 1002
    assert {"tabby", "tiger cat"} <= set(head)
    assert inline("run", "classify imagenet", "in", "-o", "t.jsonl").returncode == 0
    first = json.loads(Path("t.jsonl").read_text().splitlines()[0])
    assert first["tabby"] == float(rows[0][head.index("tabby")])
    assert inline("run", "classify imagenet", "in", "-o", "t.npz").returncode == 0
    with np.load("t.npz") as found:
        assert found["features.columns"][head.index("tabby") - 2] == "tabby"


def test_a_labelled_table_is_added_to(images, workspace, inline):
    for name in ("t.csv", "t.jsonl", "t.npz"):
        command = ["run", "classify imagenet", "in", "-q", "-o"]
        inline(*command, name)
        (images / "0003.png").touch()
        before = Path(name).read_bytes()
        assert inline(*command, name).returncode == 0
        assert Path(name).read_bytes() == before


def test_an_image_of_another_size_is_refused_by_name(images, workspace, inline):
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(images / "0002a.png")
    for jobs in (1, 2):
        done = inline("run", FLAT, "in", "-o", f"{jobs}.csv", "-j", jobs)
        assert done.returncode == 1
        assert "in/0002a.png: gives 3 values, and the rows before it 48" in done.stderr
    assert Path("1.csv").read_bytes() == Path("2.csv").read_bytes()
    again = inline("run", FLAT, "in", "-o", "1.csv")
    assert again.stderr.endswith("0 done, 7 skipped, 1 failed\n")


def test_maps_in_a_table_are_refused_before_any_work(images, inline):
    assert_refused(inline("pool", "in", "-o", "t.csv"), 2, "put 'flatten' at its end")
    done = inline("relu", "in", "-o", "t.csv")
    assert (done.returncode, Path("t.csv").exists()) == (1, False)
    assert "put 'flatten' at the end" in done.stderr


def test_one_image_gives_its_vector_and_several_a_matrix(images, workspace, inline):
    inline("run", FLAT, "in/0000.png", "-o", "one.npy")
    assert np.load("one.npy").shape == (48,)
    inline("run", FLAT, "in/0000.png", "in/0001.png", "-o", "two.npy")
    assert np.load("two.npy").shape == (2, 48)


def tar_names(path):
    with tarfile.open(path) as tar:
        return [name for name in tar.getnames() if name.endswith(".npy")]


def test_shards_hold_all_in_order_and_begin_anew_at_their_size(images, workspace, inline):
    done = inline("pool", "in", "-o", "x-%03d.tar", "--shard-size", "5KB")
    names = ["x-000.tar", "x-001.tar", "x-002.tar"]
    assert done.stdout.splitlines() == names
    held = [tar_names(name) for name in names]
    assert [len(one) for one in held] == [3, 3, 1]
    assert [name for one in held for name in one] == [f"{number:04}.npy" for number in range(7)]
    rows = rows_of("x-%03d.tar.manifest.jsonl")
    assert [list(row["outputs"]) for row in rows] == [[names[number // 3]] for number in range(7)]


@pytest.mark.parametrize("change", ["first", "middle", "last", "gone", "new", "gone at the end"])
def test_shards_after_a_change_are_those_of_a_clean_run(change, images, workspace, inline):
    command = ["pool", "in", "--shard-size", "5KB", "-q", "-o"]
    inline(*command, "x-%d.tar")
    first = Path("x-0.tar").stat().st_mtime_ns
    which = {"first": "0000", "middle": "0004", "last": "0006"}.get(change)
    if which:
        Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(images / f"{which}.png")
    elif change == "new":
        (images / "0004a.png").write_bytes((images / "0000.png").read_bytes())
    else:
        (images / ("0001.png" if change == "gone" else "0006.png")).unlink()
    assert inline(*command, "x-%d.tar").returncode == 0
    assert (Path("x-0.tar").stat().st_mtime_ns == first) == (change not in ("first", "gone"))
    Path("clean").mkdir()
    inline(*command, "clean/x-%d.tar")
    names = sorted(path.name for path in workspace.glob("x-*.tar"))
    assert names == sorted(path.name for path in (workspace / "clean").glob("*.tar"))
    for name in names:
        assert Path(name).read_bytes() == Path("clean", name).read_bytes()


def test_a_failed_image_of_shards_stays_failed_and_costs_nothing(images, workspace, inline):
    (images / "0003.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    command = ["pool", "in", "-o", "x-%d.tar", "--shard-size", "5KB"]
    first = inline(*command)
    assert (first.returncode, first.stderr[-26:]) == (1, "6 done, 0 skipped, 1 failed\n"[-26:])
    again = inline(*command)
    assert again.stderr.splitlines()[0] == first.stderr.splitlines()[0]
    assert again.stderr.endswith("0 done, 6 skipped, 1 failed\n")


@pytest.mark.parametrize(
    "words", [["-o", "x-%s.tar"], ["-o", "x-%d-%d.tar"], ["-o", "x.tar", "--shard-size", "1MB"]]
)
def test_wrong_shards_are_refused(words, images, inline):
    assert_refused(inline("relu", "in", *words), 2, "x-%05d.tar")
    assert_refused(
        inline("relu", "in", "-o", "x-%d.tar", "--shard-size", "much"), 2, "'much' is not a size"
    )


def test_a_tar_of_pictures_is_read_by_every_kind_of_run(images, workspace, inline):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add("in")
    Path("all.tar").write_bytes(data.getvalue())
    for jobs in (1, 2):
        done = inline("relu", "all.tar", "-o", f"o{jobs}", "-j", jobs)
        assert done.stderr.endswith("7 done, 0 skipped, 0 failed\n")
    assert inline("relu", "all.tar", "-o", "o2").stderr.endswith("0 done, 7 skipped, 0 failed\n")
