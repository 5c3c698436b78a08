"""--labels and --preprocessing: what a model is to say otherwise, for models of any kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused
from PIL import Image

import featcli as api
from featcli.models.labels import read_labels


@pytest.fixture
def names(workspace):
    """ten.txt and ten.json with names for the ten classes of the model digits."""
    listed = [f"number {n}" for n in range(10)]
    (workspace / "ten.txt").write_text("\n".join(listed) + "\n")
    (workspace / "ten.json").write_text(json.dumps(listed))
    return listed


def best(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[0])["top"][0]["label"]


@pytest.mark.parametrize("file", ["ten.txt", "ten.json"])
def test_names_come_from_a_file(file, names, inline):
    done = inline("classify", "one.png", "--model", "digits", "--labels", file)
    assert best(done) == "number 1"
    frame = api.read("one.digits.npy")
    assert frame.labels == tuple(names)
    assert dict(frame.history[-1].params)["labels"].startswith(f"{file}#")


def test_other_names_redo_what_has_them_and_no_more(names, workspace, inline):
    (workspace / "o").mkdir()
    classify = ("classify", "one.png", "zero.png", "--model", "digits", "-o", "o")
    features = ("features", "one.png", "--model", "digits", "-o", "f", "-v")
    assert inline(*features).returncode == 0
    assert best(inline(*classify)) == "1"
    assert best(inline(*classify, "--labels", "ten.txt")) == "number 1"
    again = inline(*classify, "--labels", "ten.txt", "-v")
    assert "0 done, 2 skipped" in again.stderr
    (workspace / "ten.txt").write_text("\n".join(name.upper() for name in names))
    done = inline(*classify, "--labels", "ten.txt")
    assert "2 done, 0 skipped" in done.stderr
    assert best(done) == "NUMBER 1"
    assert api.read("o/one.digits.npy").labels[1] == "NUMBER 1"
    assert "one.png: unchanged" in inline(*features).stderr


def test_another_preprocessing_changes_what_the_network_sees(workspace, inline):
    usual = str(api.load_model("imagenet").description.preprocessing)
    other = "resize 224x224 | normalize 127 128"
    inline("features", "photo.jpg", "--decode", "exact", "-o", "usual.npy")
    inline("features", "photo.jpg", "--decode", "exact", "--preprocessing", usual, "-o", "same.npy")
    inline(
        "features", "photo.jpg", "--decode", "exact", "--preprocessing", other, "-o", "other.npy"
    )
    np.testing.assert_array_equal(np.load("usual.npy"), np.load("same.npy"))
    assert np.abs(np.load("usual.npy") - np.load("other.npy")).max() > 0.1
    model = api.load_model("imagenet", preprocessing=other)
    x = model.prepare(api.read("photo.jpg").data)
    np.testing.assert_array_equal(model.run(x, "pool").ravel(), np.load("other.npy")[0])
    done = inline("features", "photo.jpg", "--preprocessing", other, "-v")
    assert done.stdout == "photo.imagenet-pool.npy\n"
    history = api.read("photo.imagenet-pool.npy").history
    assert dict(history[-1].params)["preprocessing"].startswith("resize --size 224x224")
    assert "unchanged" not in inline("features", "photo.jpg", "-v").stderr


def test_command_pipeline_python_and_workers_agree(names, workspace, inline):
    before = "resize 28x28 | gray"
    given = ("--model", "digits", "--labels", "ten.txt", "--preprocessing", before)
    images = ("gray.png", "small.png")
    for jobs in ("1", "2"):
        done = inline("classify", *images, *given, "-j", jobs, "-o", f"{jobs}.csv")
        assert done.returncode == 0, done.stderr
    assert (workspace / "1.csv").read_bytes() == (workspace / "2.csv").read_bytes()
    inline("classify", "gray.png", *given, "-o", "a.npy")
    text = f"classify digits --labels ten.txt --preprocessing '{before}'"
    done = inline("run", text, "gray.png", "-o", "b.npy")
    assert done.returncode == 0, done.stderr
    assert json.loads((workspace / "b.json").read_text())["labels"] == names
    model = api.load_model("digits", labels="ten.txt", preprocessing=before)
    frame = model(api.read("gray.png"))
    assert frame.labels == tuple(names)
    np.testing.assert_array_equal(frame.data, np.load("b.npy"))
    np.testing.assert_array_equal(frame.data, np.load("a.npy"))
    again = api.Pipeline([frame.history[-1]])(api.read("gray.png"))
    assert (again.labels, again.history) == (frame.labels, frame.history)
    np.testing.assert_array_equal(again.data, frame.data)


def test_a_history_means_the_names_that_it_was_made_with(names, workspace):
    model = api.load_model("digits", labels="ten.txt")
    (workspace / "ten.txt").write_text("\n".join("abcdefghij"))
    with pytest.raises(ValueError, match=r"ten\.txt: has changed"):
        api.load_model("digits", labels=model.params["labels"])


def test_explain_shows_the_names(names, workspace, inline):
    done = inline("explain", "one.png", "--model", "digits", "--labels", "ten.txt", "-o", "e.html")
    assert done.returncode == 0, done.stderr
    assert "number 1" in (workspace / "e.html").read_text()
    done = inline("explain", "one.png", "--pipeline", "abs", "--labels", "ten.txt")
    assert_refused(done, 2, "--labels", "--pipeline")


def test_wrong_files_of_names_are_one_line(names, workspace, inline):
    (workspace / "nine.txt").write_text("\n".join(names[:9]))
    (workspace / "gap.txt").write_text("\n".join([*names[:4], "", *names[5:]]))
    (workspace / "none.txt").write_text("\n \n")
    (workspace / "object.json").write_text('{"0": "number 0"}')
    (workspace / "broken.json").write_text("[")
    for file, words in {
        "nine.txt": ["9 labels"],
        "gap.txt": ["name 5"],
        "none.txt": ["holds no names"],
        "object.json": ["not a JSON list"],
        "broken.json": ["is not valid JSON"],
        "photo.jpg": ["not text in UTF-8"],
        "missing.txt": ["No such file"],
        ".": ["not a regular file"],
    }.items():
        done = inline("classify", "one.png", "--model", "digits", "--labels", file)
        assert_refused(done, 2, "--labels", file, *words)
    assert not (workspace / "one.digits.npy").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", ["step 1", "'nonsense' is not allowed in a preprocessing"]),
        ("convolve vertical", ["'convolve' is not allowed"]),
        ("resize", ["needs --size"]),
        ("flatten | crop 8", ["step 2 (crop) takes maps"]),
        ("resize 99999", ["4096 pixels"]),
        ("crop '8", ["no closing quotation"]),
        ("", ["is empty"]),
        (" ", ["step 1 is empty"]),
    ],
)
def test_a_wrong_preprocessing_is_one_line(text, words, workspace, inline):
    for command in ("classify", "features", "explain"):
        done = inline(command, "one.png", "--model", "digits", "--preprocessing", text)
        assert_refused(done, 2, "--preprocessing", *words)


def test_a_preprocessing_that_gives_another_shape_says_so(workspace, inline):
    done = inline("classify", "one.png", "--model", "digits", "--preprocessing", "resize 9x9")
    assert_refused(done, 2, "--preprocessing", "takes 28x28x1, not 9x9x1")
    done = inline(
        "classify", "one.png", "--model", "digits", "--preprocessing", "resize 9 | crop 28"
    )
    assert_refused(done, 2, "--preprocessing", "crop", "384x512")


def test_a_preprocessing_may_leave_images_of_the_right_size_as_they_are(workspace):
    model = api.load_model("digits", preprocessing="normalize 33 78")
    assert model(np.full((28, 28, 1), 200)).data.shape == (10,)
    with pytest.raises(ValueError, match="takes 28x28x1, not 30x28x1"):
        model(np.full((30, 28, 1), 200))


def test_other_names_have_no_ids_of_the_model(workspace, inline):
    (workspace / "own.txt").write_text("".join(f"thing {n}\n" for n in range(1000)))
    done = inline("classify", "photo.jpg", "--no-files")
    assert "id" in json.loads(done.stdout)["top"][0]
    done = inline("classify", "photo.jpg", "--no-files", "--labels", "own.txt")
    assert "id" not in json.loads(done.stdout)["top"][0]


@pytest.mark.parametrize("model", ["", "digits", "zero-one"])
def test_what_is_left_out_means_the_same_in_a_pipeline(model, workspace, inline):
    np.save("nine.npy", np.arange(9.0))
    image = "nine.npy" if model == "zero-one" else "photo.jpg"
    option = ("--model", model) if model else ()
    for command in ("classify", "features"):
        first = inline(command, image, *option, "-o", "first/")
        assert first.returncode == 0, first.stderr
        second = inline("run", f"{command} {model}", image, "-o", "second/")
        assert second.returncode == 0, second.stderr
        one, two = (max(Path(name).glob("*.npy"), key=mtime) for name in ("first", "second"))
        assert one.name == two.name
        assert api.read(one).history == api.read(two).history
        np.testing.assert_array_equal(np.load(one), np.load(two))


def test_a_preprocessing_that_resizes_nothing_cannot_be_decoded_fast(workspace, inline):
    given = ("features", "photo.jpg", "--preprocessing", "crop 224 | normalize 127 128")
    assert_refused(inline(*given, "-o", "c.npy", "--decode", "fast"), 2, "--decode fast")


def test_a_file_of_one_bit_is_read_as_a_model_takes_it(workspace, inline):
    zero = np.zeros((28, 28), bool)
    zero[6:22, 9:19] = True
    zero[9:19, 12:16] = False
    Image.fromarray(zero).save("bits.png")
    Image.fromarray(zero.astype(np.uint8) * 255).save("bytes.png")
    for text in ("classify digits", "features digits"):
        folder = Path(text.split()[0])
        inline("run", text, "bits.png", "bytes.png", "-o", f"{folder}/")
        one, two = (np.load(next(folder.glob(f"{name}.*.npy"))) for name in ("bits", "bytes"))
        np.testing.assert_array_equal(one, two)
    assert_refused(inline("run", "classify digits", "bits.png", "--unit"), 2, "--unit")


def mtime(path):
    return path.stat().st_mtime_ns


def test_features_describe_an_image_before_it_has_a_class(workspace, inline):
    for model, layer, count in (("imagenet", "pool", 1280), ("digits", "relu3", 1600)):
        done = inline("features", "photo.jpg", "--model", model)
        assert done.stdout.strip() == f"photo.{model}-{layer}.npy"
        assert np.load(f"photo.{model}-{layer}.npy").shape == (count,)


def test_lines_end_as_any_system_ends_them(workspace):
    (workspace / "crlf.txt").write_bytes("\ufeffcat\r\ndog, big\r\n".encode())
    assert read_labels("crlf.txt") == ("cat", "dog, big")


@pytest.mark.parametrize("name", ["key", "keys"])
def test_a_layer_called_as_the_column_of_names_is_refused(name, inline):
    done = inline("features", "photo.jpg", "--layer", name, "-o", "x.csv")
    assert_refused(done, 2, f"--layer {name}")
