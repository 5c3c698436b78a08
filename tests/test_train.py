"""featcli train as people use it: real processes, pauses, bad input, and what is left behind."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from conftest import assert_refused
from patterns import ARCH, QUICK, bars, save_folder, save_idx, save_npz
from PIL import Image

import featcli as api


@pytest.fixture
def desk(workspace):
    save_npz(workspace / "bars.npz")
    return workspace


def arrays(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("kind", ["npz", "idx", "folder"])
def test_what_was_trained_classifies_gives_features_and_is_listed(desk, inline, kind):
    place = {
        "npz": lambda: "bars.npz",
        "idx": lambda: save_idx(desk / "idx", suffix=".gz").parent,
        "folder": lambda: save_folder(desk / "folder", names=("0", "1", "2")),
    }[kind]()
    done = inline("train", place, "-o", "m.npz", *QUICK, "--epochs", 6)
    assert (done.returncode, done.stdout) == (0, "m.npz\n"), done.stderr
    assert len([x for x in done.stderr.splitlines() if ": epoch " in x]) == 6
    assert not (desk / "m.checkpoint.npz").exists()
    pixels, classes = bars(9, seed=5)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(desk / f"t{number}.png")
    files = [f"t{number}.png" for number in range(9)]
    said = inline("classify", "--model", "m.npz", "--no-files", *files)
    found = [json.loads(one)["top"][0]["label"] for one in said.stdout.splitlines()]
    assert sum(int(a) == b for a, b in zip(found, classes, strict=True)) >= 8
    assert inline("features", *files, "--model", "m.npz", "--layer", "pool", "-o", "f.npy")
    assert np.load("f.npy").shape == (9, 6 * 6 * 6)
    text = inline("info", "m.npz").stdout
    for word in ("edges", "scores", "resize --size 12x12 | normalize", "6 of 6 epochs", "gray"):
        assert word in text


def test_equal_commands_give_equal_bytes(desk, featcli):
    for folder in ("a", "b"):
        given = ("-o", f"{folder}/m.npz", *QUICK, "--epochs", 3, "--augment", "shift=1,rotate=5")
        assert featcli("train", "bars.npz", *given).returncode == 0
    assert (desk / "a/m.npz").read_bytes() == (desk / "b/m.npz").read_bytes()


def test_a_report_shows_history_curves_filters_and_confusion(desk, inline):
    given = (*QUICK, "--epochs", 4, "--report", "r", "--history", "h.jsonl")
    assert inline("train", "bars.npz", "-o", "m.npz", *given).returncode == 0
    rows = [json.loads(line) for line in (desk / "r/history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert set(rows[0]) == {
        "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds",
        "images_per_second",
    }  # fmt: skip
    assert (desk / "h.jsonl").read_text() == (desk / "r/history.jsonl").read_text()
    table = [line.split(",") for line in (desk / "r/confusion.csv").read_text().splitlines()]
    assert table[0] == ["right\\guessed", "0", "1", "2"]
    assert sum(int(x) for row in table[1:] for x in row[1:]) == 12
    for name in ("curves.png", "filters.png", "confusion.png"):
        with Image.open(desk / "r" / name) as image:
            assert image.mode == "RGB"
            assert len(np.unique(np.asarray(image))) > 5
    refused = inline("train", "bars.npz", "-o", "n.npz", *given)
    assert_refused(refused, 2, "exists already: --overwrite")


@pytest.mark.parametrize("decay", [0, 0.3])
def test_a_traced_step_is_told(decay, desk, inline):
    given = (*QUICK, "--epochs", 1, "--trace-step", 2, "--optimizer", "sgd", "--momentum", 0)
    given += ("--weight-decay", decay) if decay else ()
    told = inline("train", "bars.npz", "-o", "m.npz", *given).stderr
    step = told[told.index("step 2, a batch of 16 images") :].splitlines()
    words = ["step", "guess", "loss", "weight", "slope", "gradient", "after", "new"]
    assert [line.split()[0] for line in step[:8]] == words
    before = float(step[3].rsplit(" ", 1)[1])
    gradient = float(step[5].split(", ")[1].split()[0])
    after = float(step[6].split("=")[1].split(",")[0])
    rate = float(step[6].split("a rate of ")[1].split()[0])
    assert after == pytest.approx(before - rate * (gradient + decay * before), abs=2e-6)
    assert ("a weight decay of 0.3" in step[6]) == bool(decay)


@pytest.mark.slow
def test_a_head_on_the_shipped_network_learns_photos_from_few(desk, inline):
    random = np.random.default_rng(0)
    for name in ("cat", "coffee"):
        with Image.open(desk / "samples" / f"{name}.jpg") as photo:
            for number in range(7):
                left, top = random.integers(0, 150, 2).tolist()
                place = desk / ("test" if number > 4 else "train") / name
                place.mkdir(parents=True, exist_ok=True)
                photo.crop((left, top, left + 150, top + 140)).save(place / f"{number}.jpg")
    given = ("--from", "imagenet", "--head-only", "--epochs", 20, "--val-split", 0)
    done = inline("train", "train", "-o", "m.npz", *given)
    assert done.returncode == 0, done.stderr
    found = json.loads(inline("evaluate", "m.npz", "test", "--json").stdout)
    assert (found["accuracy"], found["images"]) == (1.0, 4)
    about = json.loads(inline("info", "m.npz", "--json").stdout)
    assert about["licence"].startswith("Apache-2.0")
    assert about["input"] == [224, 224, 3]
    assert [row["name"] for row in about["layers"]][-2:] == ["scores", "probabilities"]
    shipped = api.load_model().weights["stem.weight"]
    np.testing.assert_array_equal(api.load_model("m.npz").weights["stem.weight"], shipped)
    size = (desk / "m.npz").stat().st_size
    assert size < 8_000_000  # half-precision numbers stay what they were


def test_a_head_on_fixed_kernels(desk, inline):
    given = ("--kernels", "sobel-x,sobel-y,gaussian:sigma=1", "--epochs", 40, "--lr", 0.05)
    done = inline("train", "bars.npz", "-o", "m.npz", *given)
    assert done.returncode == 0, done.stderr
    found = json.loads(inline("evaluate", "m.npz", "bars.npz", "--json").stdout)
    assert found["accuracy"] > 0.9
    weight = api.load_model("m.npz").weights["bank.weight"]
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    size = weight.shape[0]
    middle = weight[size // 2 - 1 : size // 2 + 2, size // 2 - 1 : size // 2 + 2, 0, 0]
    np.testing.assert_allclose(middle, kernel / 8)


def test_colour_stays_colour(desk, inline):
    x, y = bars()
    np.savez("c.npz", x=np.stack([x, x // 2, 255 - x], axis=-1), y=y)
    assert inline("train", "c.npz", "-o", "m.npz", *QUICK, "--epochs", 2).returncode == 0
    about = json.loads(inline("info", "m.npz", "--json").stdout)
    assert (about["channels"], about["input"]) == ("RGB", [12, 12, 3])
    given = ("--channels", "gray", "--size", "8x10")
    assert inline("train", "c.npz", "-o", "g.npz", *QUICK, "--epochs", 2, *given).returncode == 0
    about = json.loads(inline("info", "g.npz", "--json").stdout)
    assert (about["channels"], about["input"]) == ("gray", [8, 10, 1])


def test_floats_keep_their_range(desk, inline):
    x, y = bars()
    np.savez("f.npz", x=(x / 255).astype(np.float32), y=y)
    assert inline("train", "f.npz", "-o", "m.npz", *QUICK, "--epochs", 6).returncode == 0
    assert api.load_model("m.npz").description.range == 1
    shares = json.loads(inline("evaluate", "m.npz", "f.npz", "--json").stdout)
    bytes_ = json.loads(inline("evaluate", "m.npz", "bars.npz", "--json").stdout)
    assert shares["accuracy"] == bytes_["accuracy"] > 0.9


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_the_help_says_what_the_exit_codes_are(inline, command):
    text = " ".join(inline(command, "--help").stdout.split())
    for words in ("Exit codes: 0 success;", "images were left out", "2 wrong usage",
                  "130 (Ctrl-C) or 143 (SIGTERM)"):  # fmt: skip
        assert words in text


def test_a_broken_image_is_named_and_counted_and_the_exit_code_is_1(desk, inline):
    place = save_folder(desk / "folder")
    (place / "spot" / "broken.png").write_bytes(b"nothing")
    done = inline("train", place, "-o", "m.npz", *QUICK, "--epochs", 1)
    assert (done.returncode, done.stdout) == (1, "m.npz\n")
    assert "spot/broken.png: not an image" in done.stderr
    count = "1 image could not be read and is left out"
    assert count in done.stderr
    assert done.stderr.splitlines()[-1].endswith(f"m.npz is complete, but {count}: exit code 1")
    quiet = inline("train", place, "-o", "q.npz", *QUICK, "--epochs", 1, "-q")
    assert (quiet.returncode, len(quiet.stderr.splitlines())) == (1, 3)
    refused = inline("train", place, "-o", "n.npz", *QUICK, "--strict")
    assert_refused(refused, 1, "broken.png", "left out without --strict")


REFUSALS = [
    (("nothing", "-o", "m.npz"), 2, "no data 'nothing'"),
    (("bars.npz",), 2, "missing option '-o'"),
    (("bars.npz", "-o", "m"), 2, "the suffix of a model file is .npz"),
    (("bars.npz", "-o", "m.npz", "--arch", "conv 8 3 | dense 3 | softmax"), 2, "12x12x1 | conv"),
    (("bars.npz", "-o", "m.npz", "--arch", "lenet", "--size", "4"), 2, "do not fit into 2x2"),
    (("bars.npz", "-o", "m.npz", "--epochs", "0"), 2, "'--epochs'"),
    (("bars.npz", "-o", "m.npz", "--epochs", "1e3"), 2, "'1e3' is not a valid whole number"),
    (("bars.npz", "-o", "m.npz", "--batch-size", "0"), 2, "'--batch-size': 0 is not in the range"),
    (("bars.npz", "-o", "m.npz", "--seed", "-1"), 2, "'--seed': -1 is not in the range"),
    (("bars.npz", "-o", "m.npz", "--schedule", "step=0"), 2, "'step=0' is not one of 'cosine'"),
    (("bars.npz", "-o", "m.npz", "--lr", "1e400"), 2, "'--lr': inf is not in the range"),
    (("bars.npz", "-o", "m.npz", "--val-split", "1.5"), 2, "'--val-split': 1.5 is not in"),
    (("bars.npz", "-o", "m.npz", "--momentum", "nan"), 2, "'--momentum': 'nan' is not a number"),
    (("bars.npz", "-o", "m.npz", "--arch", ""), 2, "'--arch': is empty: give a value"),
    (("bars.npz", "-o", "m.npz", "--arch", " "), 2, "'--arch': is empty"),
    (("bars.npz", "-o", "m.npz", "--kernels", ""), 2, "'--kernels': is empty"),
    (("bars.npz", "-o", "m.npz", "--from", ""), 2, "'--from': is empty"),
    (("bars.npz", "-o", "m.npz", "--size", ""), 2, "'--size': is empty"),
    (("bars.npz", "-o", "m.npz", "--size", "9999"), 2, "resize to more than 4096 pixels"),
    (("bars.npz", "-o", "m.npz", "--report", ""), 2, "'--report': is empty: name a folder"),
    (("bars.npz", "-o", "m.npz", "--history", ""), 2, "'--history': is empty: name a folder"),
    (("bars.npz", "-o", "m.npz", "--history", "--resume"), 2, "looks like an option"),
    (("bars.npz", "-o", ""), 2, "is empty: name a folder or a file"),
    (("", "-o", "m.npz"), 2, "no data ''"),
    (("bars.npz", "-o", "m.npz", "--augment", "shift=2,shift=3"), 2, "shift is given twice"),
    (("bars.npz", "-o", "m.npz", "--augment", "flip, flip"), 2, "flip is given twice"),
    (("bars.npz", "-o", "m.npz", "--augment", ""), 2, "'--augment': is empty"),
    (("bars.npz", "-o", "m.npz", "--lr", "fast"), 2, "'--lr': 'fast' is not a valid number"),
    (("bars.npz", "-o", "m.npz", "--history", "/dev/full"), 2, "is not a regular file"),
    (("bars.npz", "-o", "m.npz", "--lr", "0"), 2, "'--lr'"),
    (("bars.npz", "-o", "m.npz", "--lr", "nan"), 2, "'--lr'"),
    (("bars.npz", "-o", "m.npz", "--val-split", "1"), 2, "'--val-split'"),
    (("bars.npz", "-o", "m.npz", "--augment", "flop"), 2, "did you mean flip"),
    (("bars.npz", "-o", "m.npz", "--size", "x"), 2, "'--size'"),
    (("bars.npz", "-o", "m.npz", "--resume"), 2, "there is no checkpoint m.checkpoint.npz"),
    (("bars.npz", "-o", "m.npz", *QUICK, "--trace-step", "71"), 2, "must be 1 to 70"),
    (("bars.npz", "-o", "m.npz", "--head-only"), 2, "needs --from MODEL"),
    (("bars.npz", "-o", "m.npz", "--from", "imagenet"), 2, "needs --head-only"),
    (("bars.npz", "-o", "m.npz", "--from", "imagnet", "--head-only"), 2, "did you mean imagenet"),
    (("bars.npz", "-o", "m.npz", "--kernels", "sobbel-x"), 2, "--kernels: "),
    (("bars.npz", "-o", "m.npz", "--kernels", "roberts-x"), 2, "odd sizes"),
    (("bars.npz", "-o", "m.npz", "--kernels", "bank", "--augment", "flip"), 2, "--augment"),
    (("bars.npz", "-o", "m.npz", "--kernels", "bank", "--channels", "RGB"), 2, "--channels RGB"),
    (
        ("bars.npz", "-o", "m.npz", "--from", "imagenet", "--head-only", "--channels", "gray"),
        2,
        "--channels and --from: the preprocessing",
    ),
    (("bars.npz", "-o", "m.npz", "--kernels", "bank", "--arch", "lenet"), 2, "--arch lenet"),
]


@pytest.mark.parametrize(("arguments", "code", "word"), REFUSALS)
def test_bad_input_is_one_line_and_leaves_nothing(desk, inline, arguments, code, word):
    assert_refused(inline("train", *arguments), code, word)
    assert not list(desk.glob("m*"))


def test_a_folder_that_vanishes_while_training_changes_nothing(desk, inline, monkeypatch):
    import shutil

    from featcli.models.learning.training import Training

    place = save_folder(desk / "folder")
    given = ("train", place, *QUICK, "--epochs", 4, "-q")
    assert inline(*given, "-o", "whole/m.npz").returncode == 0
    run_epoch = Training.run_epoch

    def losing(self, *how):
        if self.epoch == 2:
            shutil.rmtree(place)
        return run_epoch(self, *how)

    monkeypatch.setattr(Training, "run_epoch", losing)
    done = inline(*given, "-o", "m.npz")
    assert (done.returncode, done.stderr) == (0, "")
    assert (desk / "m.npz").read_bytes() == (desk / "whole/m.npz").read_bytes()


def test_an_image_that_vanishes_while_they_are_read_is_left_out(desk, inline, monkeypatch):
    from featcli.datasets import folders

    place = save_folder(desk / "folder")
    listed = folders.images

    def and_one_more(folder):
        return [*listed(folder), folder / "gone.png"] if folder.name == "spot" else listed(folder)

    monkeypatch.setattr(folders, "images", and_one_more)
    done = inline("train", place, "-o", "m.npz", *QUICK, "--epochs", 1)
    assert done.returncode == 1
    assert "spot/gone.png: No such file" in done.stderr


def test_a_class_may_have_a_name_that_is_no_text(desk, featcli):
    import os

    odd = os.fsdecode(b"caf\xe9\n[bold]")
    place = save_folder(desk / "folder", names=("lying", odd))
    given = ("-o", "m.npz", "--arch", ARCH.replace("dense 3", "dense 2"), "--epochs", 2)
    done = featcli("train", place, *given, "--report", "r", "--trace-step", 1)
    assert done.returncode == 0, done.stderr
    assert api.load_model("m.npz").labels == (odd, "lying")
    told = [line for line in done.stderr.splitlines() if line.startswith("  guess")]
    assert len(told) == 1
    done = featcli("evaluate", "m.npz", place)
    assert done.returncode == 0, done.stderr
    assert r"caf\xe9\n[bold]" in done.stdout


@pytest.mark.parametrize(
    ("side", "more", "words"),
    [
        (4100, (), "resize to more than 4096 pixels: give --size N or RxC"),
        (2900, ("--kernels", "sobel-x,sobel-y"), "--kernels: step 1 (conv) has the shape"),
    ],
)
def test_photos_that_are_too_large_need_a_size(desk, inline, side, more, words):
    for name in ("a", "b"):
        (desk / "photos" / name).mkdir(parents=True)
        Image.new("L", (side, side)).save(desk / "photos" / name / "x.png")
    assert_refused(inline("train", "photos", "-o", "m.npz", *more), 1, words, "give --size N")
    done = inline("train", "photos", "-o", "m.npz", *more, "--size", 32, "--epochs", 1)
    assert done.returncode == 0, done.stderr


def test_one_class_only_is_refused(desk, inline):
    place = save_folder(desk / "folder", names=("lying",))
    assert_refused(inline("train", place, "-o", "m.npz"), 1, "only one class, 'lying'")


def test_gray_and_colour_together_need_a_word(desk, inline):
    place = save_folder(desk / "folder")
    Image.new("RGB", (12, 12)).save(place / "spot" / "zzz.png")
    refused = inline("train", place, "-o", "m.npz", *QUICK)
    assert_refused(refused, 1, "give --channels gray or --channels RGB")
    given = (*QUICK, "--epochs", 1, "--channels", "RGB")
    assert inline("train", place, "-o", "m.npz", *given).returncode == 0


def test_a_folder_without_permission_is_refused(desk, inline):
    (desk / "file").write_text("x")
    done = inline("train", "bars.npz", "-o", "file/m.npz", *QUICK)
    assert_refused(done, 2, "file is a file, not a folder")


def test_a_terminal_sees_a_live_line(desk, shell):
    line = f"featcli train bars.npz -o m.npz --arch '{ARCH}' --epochs 30"
    done = shell(f"""script -qec "{line.replace('"', "'")}" /dev/null""", env={"TERM": "xterm"})
    assert "epoch 30/30: loss" in done.stdout
    assert "images/s" in done.stdout
    assert "left" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["-o", "bars.npz"],
        ["-o", "m.npz", "--history", "m.npz"],
        ["-o", "m.npz", "--history", "m.checkpoint.npz"],
        ["-o", "m.npz", "--report", "r", "--history", "r/history.jsonl"],
    ],
)
def test_outputs_that_write_each_other_or_the_data_over_are_refused(desk, inline, words):
    before = (desk / "bars.npz").read_bytes()
    done = inline("train", "bars.npz", *words, *QUICK, "--overwrite")
    assert_refused(done, 2, "is also an input or another output")
    assert (desk / "bars.npz").read_bytes() == before


def test_data_that_lacks_a_class_can_be_measured_with(desk, inline):
    assert inline("train", "bars.npz", "-o", "m.npz", *QUICK).returncode == 0
    with np.load("bars.npz") as found:
        kept = found["y"] != 1
        np.savez("some.npz", x=found["x"][kept], y=found["y"][kept])
    done = inline("evaluate", "m.npz", "some.npz", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == kept.sum()


@pytest.mark.parametrize(
    "name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "a/h.jsonl"]
)
def test_nothing_is_written_among_the_data(desk, inline, name):
    save_idx(desk / "d")
    kept = {one.name: one.read_bytes() for one in (desk / "d").iterdir()}
    words = ["-o", "m.npz", "--history", f"d/{name}", "--overwrite"]
    assert_refused(inline("train", "d", *words, *QUICK), 2, "would be inside the data folder")
    assert {one.name: one.read_bytes() for one in (desk / "d").iterdir()} == kept


@pytest.mark.parametrize("option", ["--history", "--report"])
def test_a_place_that_cannot_be_is_found_before_any_work(desk, inline, option):
    place = "bars.npz/h.jsonl"
    done = inline("train", "bars.npz", "-o", "m.npz", *QUICK, option, place)
    assert_refused(done, 2, f"{option} bars.npz", "is a file, not a folder")
    assert not (desk / "m.npz").exists()
    if option == "--report":
        done = inline("evaluate", "digits", "digits", option, place)
        assert_refused(done, 2, f"{option} bars.npz", "is a file, not a folder")


def test_what_cannot_be_used_is_said_plainly(desk, inline):
    save_idx(desk / "d")
    assert inline("train", "d", "-o", "m.npz", *QUICK).returncode == 0
    assert_refused(inline("evaluate", "m.npz", "d"), 1, "has no test part")
    with np.load("bars.npz") as found:
        np.savez("f.npz", x=np.asfortranarray(found["x"]), y=found["y"])
    assert_refused(inline("train", "f.npz", "-o", "n.npz", *QUICK), 1, "in Fortran order")
