"""classify and features as commands."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from conftest import assert_refused, listing
from PIL import Image
from rich.cells import cell_len

import featcli as api


def lines(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_photo_gets_a_json_line_and_files(workspace, inline):
    (line,) = lines(inline("classify", "photo.jpg"))
    assert line["key"] == "photo"
    assert line["path"] == "photo.imagenet.npy"
    assert {one["label"] for one in line["top"][:3]} == {"tiger cat", "Egyptian cat", "tabby"}
    assert len(line["top"]) == 5
    frame = api.read("photo.imagenet.npy")
    assert frame.labels[int(frame.data.argmax())] == line["top"][0]["label"]
    assert frame.history[-1].stage == "classify"
    with Image.open("photo.imagenet.png") as picture:
        assert picture.mode == "RGB"
        assert picture.width > 450


def test_the_picture_shows_the_image_beside_the_bars(workspace, inline):
    inline("classify", "photo.jpg")
    with Image.open("photo.imagenet.png") as picture, Image.open("photo.jpg") as photo:
        shown = np.asarray(picture, float)[12:236, 12:348]
        wanted = np.asarray(photo.convert("RGB").resize((336, 224)), float)
    assert np.abs(shown - wanted).mean() < 12


def test_a_second_time_is_unchanged_and_says_the_same(workspace, inline):
    first = inline("classify", "photo.jpg")
    before = listing(workspace)
    second = inline("classify", "photo.jpg", "-v")
    assert second.stdout == first.stdout
    assert "unchanged" in second.stderr
    assert listing(workspace) == before


def test_no_files_writes_nothing(workspace, inline):
    before = listing(workspace)
    (line,) = lines(inline("classify", "photo.jpg", "--no-files", "--top", "2"))
    assert len(line["top"]) == 2
    assert "path" not in line
    assert listing(workspace) == before


def test_python_pipeline_and_command_agree_to_the_byte(workspace, inline):
    done = inline("classify", "samples/coffee.jpg", "--decode", "exact", "-o", "a.npy")
    assert done.returncode == 0
    inline("run", "classify imagenet", "samples/coffee.jpg", "-o", "b.npy")
    assert (workspace / "a.npy").read_bytes() == (workspace / "b.npy").read_bytes()
    in_python = api.load_model()(api.read("samples/coffee.jpg"))
    np.testing.assert_array_equal(np.load("a.npy"), in_python.data)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.npz"])
def test_any_number_of_jobs_gives_the_same_bytes(name, workspace, inline):
    command = "features" if name.endswith("npz") else "classify"
    inputs = ["samples/cat.jpg", "samples/coffee.jpg", "samples/camera.png", "samples/text.png"]
    for jobs in (1, 3):
        done = inline(command, *inputs, "-j", jobs, "-o", f"{jobs}{name}")
        assert done.returncode == 0, done.stderr
    assert (workspace / f"1{name}").read_bytes() == (workspace / f"3{name}").read_bytes()


def test_many_images_become_one_table(workspace, inline):
    done = inline("classify", "photo.jpg", "samples/coffee.jpg", "--top", "2", "-o", "t.csv")
    assert done.stdout == "t.csv\n"
    with (workspace / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == ["photo", "coffee"]
    assert list(rows[0]) == ["key", "file", "label_1", "probability_1", "label_2", "probability_2"]
    assert rows[1]["label_1"] == "espresso"
    assert float(rows[1]["probability_1"]) == pytest.approx(0.954, abs=0.002)
    inline("classify", "photo.jpg", "samples/coffee.jpg", "--top", "2", "-o", "t.jsonl")
    with (workspace / "t.jsonl").open() as file:
        assert [json.loads(line)["label_1"] for line in file] == [row["label_1"] for row in rows]


def test_a_folder_needs_a_place_for_its_results(workspace, inline):
    (workspace / "photos").mkdir()
    (workspace / "photos" / "a.jpg").write_bytes((workspace / "photo.jpg").read_bytes())
    assert_refused(inline("classify", "photos"), 2, "needs -o")
    assert len(lines(inline("classify", "photos", "--no-files"))) == 1
    (line,) = lines(inline("classify", "photos", "-o", "out"))
    assert line["path"] == "out/a.imagenet.npy"
    assert (workspace / "out" / "a.imagenet.png").exists()


def test_an_image_that_fails_stops_no_other(workspace, inline):
    (workspace / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    done = inline("classify", "photo.jpg", "broken.jpg", "-o", "t.jsonl")
    assert done.returncode == 1
    assert "broken.jpg" in done.stderr
    assert len((workspace / "t.jsonl").read_text().splitlines()) == 1


def test_a_stream_of_images_is_classified(workspace, inline):
    tar = inline("crop", "photo.jpg", "--size", "280", "-o", "-", binary=True).stdout
    (line,) = lines(inline("classify", "--no-files", stdin=tar))
    assert "cat" in line["top"][0]["label"] or line["top"][0]["label"] == "tabby"
    probabilities = inline("classify", "-o", "-", stdin=tar, binary=True)
    (frame,) = api.Pipeline("abs").run(read_one(probabilities.stdout))
    assert frame.data.shape == (1000,)
    inline("classify", "-o", "out", stdin=tar)
    assert (workspace / "out" / "photo.crop280.imagenet.png").exists()


def read_one(tar):
    import io

    from featcli.io.options import ReadOptions
    from featcli.io.stream import read_tar

    (sample,) = read_tar(io.BytesIO(tar), ReadOptions())
    return sample.frames[0]


def test_gray_deep_transparent_and_tiny_images_are_classified(workspace, inline):
    Image.new("RGB", (1, 1), "red").save("dot.png")
    names = ["gray.png", "dot.png", "one.png", "samples/cat-16bit.png", "samples/horse.png"]
    found = lines(inline("classify", *names, "--no-files", "-q"))
    assert len(found) == 5
    assert "cat" in found[3]["top"][0]["label"]


def test_a_bitmap_is_black_and_white_as_its_bytes_would_be(workspace, inline):
    with Image.open("one.png") as bits:
        bits.convert("L").save("bytes.png")
    first, second = lines(inline("classify", "one.png", "bytes.png", "--no-files"))
    assert first["top"] == second["top"]


def test_an_image_of_any_kind_is_classified(workspace, inline):
    with Image.open("photo.jpg") as photo:
        photo.convert("RGBA").save("rgba.png")
        photo.convert("LA").save("la.png")
        photo.convert("P").save("palette.png")
        photo.convert("CMYK").save("cmyk.tif")
        photo.convert("F").save("float.tif")
        photo.save("moving.gif", save_all=True, append_images=[photo.rotate(180)])
        photo.resize((3000, 10)).save("strip.png")
        np.save("array.npy", np.asarray(photo))
        np.save("whole.npy", np.asarray(photo).astype(np.int64))
    cats = ["rgba.png", "la.png", "palette.png", "cmyk.tif", "float.tif", "moving.gif"]
    cats += ["array.npy", "whole.npy"]
    done = inline("classify", *cats, "strip.png", "--no-files", "--top", "3")
    *found, strip = lines(done)
    for name, line in zip(cats, found, strict=True):
        assert line["file"] == name
        assert line["top"][0]["label"] in ("tiger cat", "Egyptian cat", "tabby"), name
    assert 0 < strip["top"][0]["probability"] < 1
    assert "moving.gif: has several frames" in done.stderr
    frames = lines(inline("classify", "moving.gif", "--frames", "all", "--no-files"))
    assert [line["part"] for line in frames] == ["0", "1"]


def test_numbers_that_are_none_have_no_class(workspace, inline):
    np.save("nan.npy", np.full((30, 30, 3), np.nan))
    np.save("inf.npy", np.full((30, 30, 3), np.inf))
    for name in ("nan.npy", "inf.npy"):
        done = inline("classify", name, "--no-files")
        assert_refused(done, 1, name, "NaN or infinite")


def test_channels_that_come_first_are_told_how_to_be_read(workspace, inline):
    with Image.open("photo.jpg") as photo:
        np.save("chw.npy", np.moveaxis(np.asarray(photo), 2, 0))
    assert_refused(inline("classify", "chw.npy", "--no-files"), 1, "chw.npy", "--layout chw")
    (line,) = lines(inline("classify", "chw.npy", "--no-files", "--layout", "chw"))
    assert line["top"][0]["label"] == "tiger cat"


def test_top_names_as_many_classes_as_there_are(workspace, inline):
    def count(*words):
        (line,) = lines(inline("classify", "one.png", "--no-files", *words))
        return len(line["top"])

    assert count("--top", "1000") == 1000
    assert count("--model", "zero-one") == 2
    assert count("--model", "digits") == 5
    assert count("--model", "digits", "--top", "10") == 10
    done = inline("classify", "one.png", "--model", "digits", "--top", "11")
    assert_refused(done, 2, "--top 11", "digits", "10 classes")
    assert_refused(inline("classify", "one.png", "--top", "2000"), 2, "--top 2000", "1000 classes")


def test_a_vector_goes_to_a_model_of_dense_layers(workspace, inline):
    np.save("nine.npy", np.array([0, 1, 0, 0, 1, 0, 0, 1, 0.0]))
    np.save("eight.npy", np.zeros(8))
    (line,) = lines(inline("classify", "nine.npy", "--model", "zero-one"))
    assert line["top"][0]["label"] == "1"
    piped = (workspace / "nine.npy").read_bytes()
    (line,) = lines(inline("classify", "--model", "zero-one", "--no-files", stdin=piped))
    assert line["top"][0]["label"] == "1"
    assert (
        inline("features", "nine.npy", "--model", "zero-one", "--layer", "hidden").returncode == 0
    )
    assert np.load("nine.zero-one-hidden.npy").shape == (4,)
    done = inline("classify", "eight.npy", "--model", "zero-one")
    assert_refused(done, 1, "eight.npy", "a vector of 9 values")
    done = inline("classify", "nine.npy", "--no-files")
    assert_refused(done, 1, "nine.npy", "takes an image")


def test_images_in_a_tar_and_an_array_come_through_a_pipe(workspace, inline):
    import tarfile

    with tarfile.open("photos.tar", "w") as tar:
        tar.add("photo.jpg")
        tar.add("samples/coffee.jpg", "coffee.jpg")
    whole = (workspace / "photos.tar").read_bytes()
    found = lines(inline("classify", "--no-files", "--top", "1", stdin=whole))
    assert [line["top"][0]["label"] for line in found] == ["tiger cat", "espresso"]
    with Image.open("photo.jpg") as photo:
        np.save("array.npy", np.asarray(photo))
    array = (workspace / "array.npy").read_bytes()
    (line,) = lines(inline("classify", "--no-files", "--top", "1", stdin=array))
    assert line["top"][0]["label"] == "tiger cat"
    done = inline("classify", "--no-files", stdin=whole[:3000])
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_wrong_words_are_one_line(workspace, inline):
    assert_refused(inline("classify", "photo.jpg", "--top", "0"), 2, "--top")
    assert_refused(inline("classify", "nothing.jpg"), 2, "no file 'nothing.jpg'")
    assert_refused(inline("classify", "photo.jpg", "--no-files", "-o", "x"), 2, "--no-files")
    assert_refused(
        inline("features", "photo.jpg", "--layer", "block3.depth"), 2, "block3.depthwise"
    )
    assert_refused(inline("features", "photo.jpg", "--layer", "nope"), 2, "no layer 'nope'", "stem")


def test_features_are_a_matrix_with_a_row_an_image(workspace, inline):
    inputs = ["photo.jpg", "samples/coffee.jpg", "samples/camera.png"]
    assert inline("features", *inputs, "-o", "f.npz").stdout == "f.npz\n"
    with np.load("f.npz") as found:
        assert found["keys"].tolist() == ["photo", "coffee", "camera"]
        matrix = found["features"]
    assert matrix.shape == (3, 1280)
    inline("features", *inputs, "-o", "f.npy")
    np.testing.assert_array_equal(np.load("f.npy"), matrix)
    assert json.loads((workspace / "f.json").read_text())["keys"] == ["photo", "coffee", "camera"]
    inline("features", *inputs, "-o", "f.csv")
    table = np.loadtxt("f.csv", delimiter=",", skiprows=1, usecols=range(2, 1282))
    np.testing.assert_array_equal(table.astype(np.float32), matrix)
    model = api.load_model()
    x = model.prepare(api.read("samples/camera.png").data)
    np.testing.assert_array_equal(model.run(x, "pool").ravel(), matrix[2])


def test_several_layers_come_from_one_pass(workspace, inline):
    done = inline("features", "photo.jpg", "--layer", "stem", "--layer", "logits", "-o", "f.npz")
    assert done.returncode == 0, done.stderr
    with np.load("f.npz") as found:
        assert found["stem"].shape == (1, 112 * 112 * 32)
        assert found["logits"].shape == (1, 1000)
    model = api.load_model()
    x = model.prepare(api.read("photo.jpg").data)
    with np.load("f.npz") as found:
        np.testing.assert_array_equal(found["stem"][0], api.flatten(model.run(x, "stem")))
    assert_refused(
        inline("features", "photo.jpg", "--layer", "stem", "--layer", "pool", "-o", "a.npy"),
        2,
        "one matrix",
    )


def test_features_of_one_image_are_left_like_any_result(workspace, inline):
    assert inline("features", "photo.jpg").stdout == "photo.imagenet-pool.npy\n"
    assert np.load("photo.imagenet-pool.npy").shape == (1280,)
    assert inline("features", "photo.jpg", "-v").stdout == "photo.imagenet-pool.npy\n"


def test_a_table_that_is_there_is_not_replaced(workspace, inline):
    for name in ("t.csv", "t.npz", "t.npy"):
        (workspace / name).write_text("mine")
        assert_refused(inline("features", "photo.jpg", "-o", name), 2, "exists already")
        assert (workspace / name).read_text() == "mine"
        assert inline("features", "photo.jpg", "-o", name, "--overwrite").returncode == 0


def test_parquet_holds_the_rows_or_says_what_to_install(workspace, inline):
    done = inline("features", "photo.jpg", "samples/coffee.jpg", "-o", "f.parquet")
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        assert_refused(done, 2, "featcli[parquet]")
        return
    table = parquet.read_table("f.parquet").to_pydict()
    assert table["key"] == ["photo", "coffee"]
    assert len(table["features"][0]) == 1280


def test_without_pyarrow_parquet_says_what_to_install(workspace, inline, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    done = inline("features", "photo.jpg", "-o", "f.parquet")
    assert_refused(done, 2, "pip install 'featcli[parquet]'")
    assert not (workspace / "f.parquet").exists()


def test_info_lists_the_layers_of_a_model(workspace, inline):
    text = inline("info", "imagenet").stdout
    for word in ("block3.depthwise", "4,631,000", "385,187,552", "Apache-2.0", "crop --size 224"):
        assert word in text
    record = json.loads(inline("info", "imagenet", "--json").stdout)
    assert record["layers"][0]["name"] == "stem"
    assert json.loads(inline("info", record["file"], "--json").stdout) == record
    assert sum(row["parameters"] for row in record["layers"]) == record["parameters"]


def test_a_terminal_sees_bars(workspace, shell):
    done = shell("script -qec 'featcli classify photo.jpg --no-files --top 3' /dev/null")
    assert "█" in done.stdout
    assert "tiger cat" in done.stdout
    assert "37.8%" in done.stdout


def test_a_terminal_that_knows_few_letters_gets_what_it_can_print(workspace, shell):
    names = "Käse 日本 " + "long " * 30
    (workspace / "names.txt").write_text("\n".join([names, *"123456789"]), encoding="utf-8")
    command = "featcli classify zero.png --model digits --labels names.txt --no-files --top 10"
    done = shell(
        f"script -qec '{command}' /dev/null", {"TERM": "xterm", "PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 0, done.stdout
    assert "#" in done.stdout
    assert r"K\xe4se \u65e5\u672c" in done.stdout


def test_a_narrow_terminal_gets_a_line_for_each_class(workspace, shell):
    names = ["a class with a long name that fits into no narrow terminal", "日本語のラベル" * 4]
    (workspace / "names.txt").write_text("\n".join([*names, *"23456789"]), encoding="utf-8")
    command = "featcli classify zero.png --model digits --labels names.txt --no-files --top 10"
    for columns in (24, 40, 80):
        env = {"TERM": "xterm", "COLUMNS": str(columns)}
        done = shell(f"script -qec '{command}' /dev/null", env)
        title, *bars = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).splitlines()
        assert title == "zero.png"
        assert len(bars) == 10, done.stdout
        assert max(cell_len(line) for line in bars) <= columns
        assert all(re.match(r" +[0-9.]+%  [█░]+  \S", line) for line in bars)
    assert "a class with a long name" in done.stdout


def test_a_picture_keeps_the_shape_of_the_image(workspace, inline):
    with Image.open("photo.jpg") as photo:
        photo.resize((3000, 10)).save("strip.png")
        photo.resize((5, 3000)).save("tall.png")
        photo.crop((0, 0, 100, 200)).save("portrait.png")
    for name, wide in {"strip": 672, "tall": 14, "portrait": 112, "one": 224}.items():
        assert inline("classify", f"{name}.png").returncode == 0
        with Image.open(f"{name}.imagenet.png") as picture:
            assert picture.width == wide + 220 + 36, name
    with Image.open("one.imagenet.png") as picture:
        digit = np.asarray(picture)[12:236, 12:236]
    assert set(np.unique(digit)) == {0, 255}


def test_verbose_changes_no_result(workspace, featcli):
    layers = ("--layer", "block3", "--layer", "pool")
    quiet = featcli("features", "photo.jpg", *layers, "-o", "quiet.npz")
    loud = featcli("features", "photo.jpg", *layers, "-v", "-o", "loud.npz")
    assert (quiet.returncode, loud.returncode) == (0, 0), loud.stderr
    assert (workspace / "quiet.npz").read_bytes() == (workspace / "loud.npz").read_bytes()
    assert "photo.jpg: done" in loud.stderr
