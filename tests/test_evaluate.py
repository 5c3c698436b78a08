"""featcli evaluate: how good a model is, and the model of digits that ships."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from conftest import assert_refused
from patterns import bars, save_folder, save_npz
from PIL import Image

import featcli as api

ARCH = "conv 6 3 | relu | pool 2 | flatten | dense 3 | softmax"


@pytest.fixture
def desk(workspace, inline):
    save_folder(workspace / "folder")
    given = ("--arch", ARCH, "--epochs", 5, "--lr", 0.01, "--batch-size", 16, "-q")
    assert inline("train", "folder", "-o", "m.npz", *given).returncode == 0
    return workspace


def test_the_shares_are_those_of_classify(desk, inline):
    place = save_folder(desk / "new", count=60, seed=4)
    found = json.loads(inline("evaluate", "m.npz", place, "--json").stdout)
    names = ["lying", "spot", "standing"]
    confusion = np.zeros((3, 3), int)
    files = sorted(place.rglob("*.png"))
    said = inline("classify", "--model", "m.npz", "--no-files", *files).stdout.splitlines()
    for file, line in zip(files, said, strict=True):
        guess = json.loads(line)["top"][0]["label"]
        confusion[names.index(file.parent.name), names.index(guess)] += 1
    assert found["confusion"] == confusion.tolist()
    assert [one["class"] for one in found["classes"]] == names
    assert found["right"] == np.trace(confusion)
    for number, one in enumerate(found["classes"]):
        assert one["recall"] == pytest.approx(confusion[number, number] / 20)
        column = confusion[:, number].sum()
        assert one["precision"] == pytest.approx(confusion[number, number] / column)


def test_a_table_for_people_and_the_matrix_as_csv_and_png(desk, inline):
    done = inline("evaluate", "m.npz", "folder", "--report", "r")
    assert done.stdout.startswith("accuracy ")
    rows = [line.split() for line in done.stdout.splitlines()[-4:]]
    assert rows[0] == ["true", "lying", "spot", "standing"]
    assert [row[0] for row in rows[1:]] == rows[0][1:]
    assert sum(int(cell) for row in rows[1:] for cell in row[1:] if cell != ".") == 120
    rows = list(csv.reader((desk / "r/confusion.csv").open()))
    assert rows[0][1:] == ["lying", "spot", "standing"]
    assert sum(int(x) for row in rows[1:] for x in row[1:]) == 120
    with Image.open(desk / "r/confusion.png") as image:
        assert image.mode == "RGB"
    assert_refused(inline("evaluate", "m.npz", "folder", "--report", "r"), 2, "exists already")


def test_a_class_that_is_missing_in_the_data_has_no_recall(desk, inline):
    place = save_folder(desk / "two", names=("lying", "standing"))
    found = json.loads(inline("evaluate", "m.npz", place, "--json").stdout)
    assert found["classes"][1]["recall"] is None
    assert found["images"] == 80


def test_a_class_that_the_model_does_not_know_is_refused(desk, inline):
    place = save_folder(desk / "new", names=("lying", "hanging"))
    done = inline("evaluate", "m.npz", place)
    assert_refused(done, 1, "no class 'hanging'; it has lying, spot, standing")
    save_npz(desk / "bars.npz")
    assert_refused(inline("evaluate", "m.npz", "bars.npz"), 1, "no class '0'")


def test_a_broken_image_is_named_and_the_exit_code_is_1(desk, inline):
    (desk / "folder" / "spot" / "broken.png").write_bytes(b"nothing")
    done = inline("evaluate", "m.npz", "folder")
    assert done.returncode == 1
    assert "broken.png" in done.stderr
    assert "1 image could not be read and is left out" in done.stderr
    assert inline("evaluate", "m.npz", "folder", "-q").stderr == done.stderr
    assert "of 120 images right" in done.stdout
    assert_refused(inline("evaluate", "m.npz", "folder", "--strict"), 1, "broken.png")


def test_a_model_with_one_score_tells_its_class_from_the_other(desk, inline):
    place = save_folder(desk / "two", names=("lying", "standing"))
    arch = "conv 6 3 | relu | pool 2 | flatten | dense 1 | sigmoid"
    given = ("--arch", arch, "--epochs", 6, "--lr", 0.01, "--batch-size", 16)
    assert inline("train", place, "-o", "b.npz", *given).returncode == 0
    assert api.load_model("b.npz").labels == ("standing",)
    found = json.loads(inline("evaluate", "b.npz", place, "--json").stdout)
    assert found["accuracy"] > 0.9
    assert [one["class"] for one in found["classes"]] == ["lying", "standing"]


def test_the_large_network_is_evaluated_image_by_image(workspace, inline):
    for name, label in (("cat", "tiger cat"), ("coffee", "espresso")):
        (workspace / "photos" / label).mkdir(parents=True)
        (workspace / "photos" / label / "a.jpg").symlink_to(workspace / f"samples/{name}.jpg")
    done = inline("evaluate", "imagenet", "photos", "--json")
    found = json.loads(done.stdout)
    known = {one["class"]: one for one in found["classes"] if one["images"]}
    assert set(known) == {"tiger cat", "espresso"}
    assert known["tiger cat"]["recall"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("nothing", "folder"), 2, "MODEL: no model 'nothing'"),
        (("m.npz", "nothing"), 2, "no data 'nothing'"),
        (("gray.png", "folder"), 1, "not a valid model file"),
        (("m.npz",), 2, "missing argument 'DATA'"),
    ],
)
def test_bad_input_is_one_line(desk, inline, arguments, code, word):
    assert_refused(inline("evaluate", *arguments), code, word)


def test_the_model_of_digits_is_as_good_as_it_says(inline):
    found = json.loads(inline("evaluate", "digits", "digits", "--json").stdout)
    assert found["images"] == 5000
    assert found["accuracy"] >= 0.985
    title = api.load_model("digits").description.title
    assert f"{found['accuracy']:.2%} of {found['images']:,}" in title
    assert sum(row.parameters for row in api.load_model("digits").layers) < 100_000


def test_the_model_of_digits_reads_the_one_and_the_zero(workspace, inline):
    done = inline("classify", "one.png", "zero.png", "--model", "digits", "--no-files")
    found = [json.loads(line)["top"][0]["label"] for line in done.stdout.splitlines()]
    assert found == ["1", "0"]


def test_its_recipe_is_in_its_file():
    from pathlib import Path

    script = (Path(__file__).parent.parent / "tools" / "make_digits.py").read_text()
    text = api.load_model("digits").description.source
    assert "--augment shift=2.5,rotate=15,scale=0.2" in text
    assert "--augment shift=2.5,rotate=15,scale=0.2" in script


def test_pixels_of_the_test_may_be_shares(desk, inline):
    x, y = bars()
    order = np.array([0, 2, 1])
    np.savez("f.npz", x=x / 255, y=order[y])
    given = ("--arch", ARCH, "--epochs", 5, "--lr", 0.01, "--batch-size", 16)
    assert inline("train", "f.npz", "-o", "f1.npz", *given).returncode == 0
    found = json.loads(inline("evaluate", "f1.npz", "f.npz", "--json").stdout)
    assert found["accuracy"] > 0.9
