"""A head that learns from a table is that of the images; evaluate says the same of both."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, assert_refused
from PIL import Image

from featcli.models.loading import load_model
from featcli.training.saving import save_model

HEAD = ("--from", "imagenet", "--head-only", "--epochs", 4, "-q", "--overwrite")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Crops of three photos, a class each; one class has a folder of its own inside."""
    folder = tmp_path_factory.mktemp("photos") / "animals"
    rng = np.random.default_rng(3)
    for name, count in (("cat", 6), ("coffee", 5), ("rocket", 4)):
        (folder / name / "more").mkdir(parents=True)
        with Image.open(SAMPLES / f"{name}.jpg") as photo:
            for number in range(count):
                left, top = rng.integers(0, 100, 2).tolist()
                place = folder / name / ("more" if number == 1 else "") / f"{number}.png"
                photo.crop((left, top, left + 180, top + 170)).save(place)
    return folder


@pytest.fixture(scope="module")
def vectors(photos, featcli):
    """A table of them, made once."""
    made = photos.parent / "t.npz"
    done = featcli("features", photos, "-o", made, "--label-from", "folder", "-q")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def learned(photos, featcli):
    """A model that learned from the photos, once."""
    made = photos.parent / "images.npz"
    done = featcli("train", photos, "-o", made, *HEAD)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def desk(workspace, photos, vectors, learned, inline):
    """The photos, their table and a model that learned from the photos."""
    Path("animals").symlink_to(photos)
    assert inline("convert", vectors, "-o", "t.npz").returncode == 0
    shutil.copy(learned, "images.npz")
    return workspace


def weights(path):
    return load_model(path).weights


def assert_same_model(first, second):
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize(
    "kind",
    [
        ".npz",
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in (".csv", ".jsonl", ".npy", ".parquet")
        ),
    ],
)
def test_a_head_that_learned_from_a_table_is_that_of_the_images(kind, desk, inline):
    if kind == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra parquet")
    assert inline("convert", "t.npz", "-o", f"made{kind}").returncode == 0
    done = inline("train", f"made{kind}", "-o", "table.npz", *HEAD)
    assert done.returncode == 0, done.stderr
    assert_same_model("images.npz", "table.npz")


def test_it_classifies_images(desk, inline):
    inline("train", "t.npz", "-o", "table.npz", *HEAD)
    said = [inline("classify", "--model", name, "--no-files", "animals/cat/0.png", "--json").stdout
            for name in ("table.npz", "images.npz")]  # fmt: skip
    assert said[0].replace("table", "images") == said[1]
    assert json.loads(said[0])["top"][0]["label"] == "cat"


def test_the_images_are_not_looked_at_again(vectors, workspace, inline):
    inline("convert", vectors, "-o", "t.npz")  # no file that it names is there
    found = dict(np.load("t.npz"))
    found["files"] = np.array([f"gone/{one}" for one in found["files"]])
    np.savez("t.npz", **found)
    done = inline("train", "t.npz", "-o", "m.npz", *HEAD)
    assert done.returncode == 0, done.stderr


def test_the_order_of_the_rows_does_not_matter(desk, inline):
    found = dict(np.load("t.npz"))
    mixed = np.random.default_rng(0).permutation(len(found["keys"]))
    rows = {name: one[mixed] for name, one in found.items() if name != "featcli"}
    np.savez("mixed.npz", **rows, featcli=found["featcli"])
    inline("train", "mixed.npz", "-o", "table.npz", *HEAD)
    assert_same_model("images.npz", "table.npz")


def test_the_right_one_of_several_layers_is_taken(desk, inline):
    given = ("--layer", "block15", "--layer", "pool", "--label-from", "folder")
    assert inline("features", "animals", "-o", "two.npz", *given).returncode == 0
    assert inline("train", "two.npz", "-o", "table.npz", *HEAD).returncode == 0
    assert_same_model("images.npz", "table.npz")


def shares(inline, model, data):
    done = inline("evaluate", model, data, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {name: one for name, one in found.items() if name != "data"}


def test_a_model_is_as_good_on_a_table_as_on_its_images(desk, inline):
    inline("train", "animals", "-o", "weak.npz", *HEAD, "--lr", 1e-5, "--seed", 5)
    on_images = shares(inline, "weak.npz", "animals")
    assert 0 < on_images["accuracy"] < 1
    assert shares(inline, "weak.npz", "t.npz") == on_images


@pytest.mark.parametrize("layer", ["block16", "scores", "probabilities"])
def test_a_table_of_any_layer_of_the_model_is_evaluated(layer, desk, inline):
    given = ("--model", "./images.npz", "--layer", layer, "--label-from", "folder")
    inline("features", "animals", "-o", "other.npz", *given)
    wanted = shares(inline, "images.npz", "animals")
    assert shares(inline, "images.npz", "other.npz") == wanted
    Path("far").mkdir()
    Path("images.npz").rename("far/images.npz")  # it is the same model wherever it lies
    assert shares(inline, "far/images.npz", "other.npz") == wanted


def test_a_network_of_maps_takes_its_flattened_layer_up_again(workspace, inline):
    from patterns import save_folder

    save_folder(workspace / "folder")
    arch = "conv 6 3 | relu | pool 2 | flatten | dense 3 | softmax"
    inline("train", "folder", "-o", "m.npz", "--arch", arch, "--epochs", 2, "--lr", 0.01, "-q")
    inline("features", "folder", "--model", "m.npz", "--label-from", "folder", "-o", "t.npz")
    assert shares(inline, "m.npz", "t.npz") == shares(inline, "m.npz", "folder")
    given = ("--from", "m.npz", "--head-only", "--epochs", 3, "-q")
    inline("train", "folder", "-o", "images.npz", *given)
    inline("train", "t.npz", "-o", "table.npz", *given)
    assert_same_model("images.npz", "table.npz")


def test_a_row_of_nan_is_named_and_left_out_and_one_without_a_label_is_counted(desk, inline):
    found = dict(np.load("t.npz"))
    found["features"][3, 7] = np.nan
    found["labels"][5] = ""
    np.savez("t.npz", **found)
    done = inline("train", "t.npz", "-o", "m.npz", *HEAD[:-2], "--overwrite")
    assert done.returncode == 1
    assert "t.npz, row 4 (cat/4): holds NaN or infinity" in done.stderr
    assert "1 row without a label is left out" in done.stderr
    assert Path("m.npz").exists()
    assert inline("evaluate", "m.npz", "t.npz").returncode == 1
    done = inline("train", "t.npz", "-o", "n.npz", *HEAD, "--strict")
    assert_refused(done, 1, "row 4 (cat/4)")


def made(inline, *given):
    assert inline("features", "animals", "-o", "odd.npz", *given).returncode == 0


LABELLED = ("--label-from", "folder")


@pytest.mark.parametrize(("given", "words"), [
    ((), "has no labels: make it by 'featcli features FOLDER --label-from folder'"),
    ((*LABELLED, "--layer", "block15"), "a head takes those of pool"),
    ((*LABELLED, "--l2"), "use 'features' without --l2"),
    ((*LABELLED, "--tile", "170"), "a row for each tile"),
    ((*LABELLED, "--model", "images.npz"), ""),
    ((*LABELLED, "--preprocessing", "resize 224x224 | normalize 127 128"), "another preprocessing"),
])  # fmt: skip
def test_vectors_of_another_kind_are_refused(given, words, desk, inline):
    made(inline, *given)
    done = inline("train", "odd.npz", "-o", "m.npz", *HEAD)
    if words:
        assert_refused(done, 1 if "labels" in words else 2, words)
        assert not Path("m.npz").exists()
    else:  # its layers up to there are those of imagenet
        assert_same_model("m.npz", "images.npz")


def test_another_model_another_use_and_a_table_that_says_nothing_are_refused(desk, inline):
    done = inline("train", "t.npz", "-o", "m.npz", "--from", "digits", "--head-only")
    assert_refused(done, 2, "the model digits has another preprocessing")
    done = inline("train", "t.npz", "-o", "m.npz")
    assert_refused(done, 2, "only a head can be trained: give --from MODEL --head-only")
    done = inline("train", "t.npz", "-o", "m.npz", "--kernels", "bank")
    assert_refused(done, 2, "only a head can be trained")
    inline("convert", "t.npz", "--pca", 3, "-o", "few.npz")
    done = inline("train", "few.npz", "-o", "m.npz", *HEAD)
    assert_refused(done, 2, "changed after they were made")
    inline("convert", "t.npz", "-o", "t.csv")
    Path("t.csv.json").unlink()
    for done in (inline("train", "t.csv", "-o", "m.npz", *HEAD),
                 inline("evaluate", "images.npz", "t.csv")):  # fmt: skip
        assert_refused(done, 2, "does not say how its vectors were made")
    assert not Path("m.npz").exists()


def test_weights_that_differ_by_one_number_are_another_model(desk, inline):
    model = load_model("images.npz")
    changed = {name: array.copy() for name, array in model.weights.items()}
    changed["block8.project.weight"].flat[0] += 1
    before = str(model.description.preprocessing)
    save_model("other.npz", model.description.network, changed, preprocessing=before,
               labels=model.labels)  # fmt: skip
    done = inline("evaluate", "other.npz", "t.npz")
    assert_refused(done, 2, "the model other has other layers or weights up to pool")
