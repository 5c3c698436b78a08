"""Images with a class each: folders, idx files, .npz files and the digits; good and bad."""

from __future__ import annotations

import gzip
import os
import socket
import tracemalloc

import numpy as np
import pytest
from patterns import bars, save_folder, save_idx, save_npz
from PIL import Image

from featcli.datasets.arrays import Arrays
from featcli.datasets.gathering import gather
from featcli.datasets.items import DataError, as_pixels
from featcli.datasets.opening import open_source
from featcli.errors import ReadError, UsageError


def opened(name, part="train", **how):
    return gather(open_source(str(name), part), as_pixels, **how)


@pytest.mark.parametrize("kind", ["npz", "idx", "idx.gz", "folder"])
def test_every_kind_gives_the_same_images(tmp_path, kind):
    if kind == "npz":
        place = save_npz(tmp_path / "bars.npz")
    elif kind == "folder":
        place = save_folder(tmp_path / "bars", names=("0", "1", "2"))
    else:
        place = save_idx(tmp_path / "bars", suffix=kind[3:])
    found = opened(place)
    pixels, classes = bars()
    order = np.argsort(classes, kind="stable") if kind == "folder" else np.arange(120)
    np.testing.assert_array_equal(found.pixels[..., 0], pixels[order])
    np.testing.assert_array_equal(found.classes, classes[order])
    assert found.names == ("0", "1", "2")
    assert not found.pixels.flags.writeable


def test_a_folder_of_idx_files_has_two_parts(tmp_path):
    save_idx(tmp_path / "bars", count=30, seed=1)
    save_idx(tmp_path / "bars", part="t10k", suffix=".gz", count=12, seed=2)
    assert len(opened(tmp_path / "bars")) == 30
    assert len(opened(tmp_path / "bars", "test")) == 12


def test_the_digits_ship_and_no_test_digit_was_learned_from():
    learned, tested = opened("digits"), opened("digits", "test")
    assert learned.shape == tested.shape == (28, 28, 1)
    assert (len(learned), len(tested)) == (5000, 5000)
    assert np.bincount(learned.classes).tolist() == [500] * 10
    seen = {one.tobytes() for one in learned.pixels}
    assert not any(one.tobytes() in seen for one in tested.pixels)


def test_what_was_read_is_safe_from_what_happens_to_the_files(tmp_path):
    place = save_idx(tmp_path / "bars")
    found = opened(place)
    place.write_bytes(b"")
    np.testing.assert_array_equal(found.take(np.arange(120))[..., 0], bars()[0])


def test_the_digest_is_that_of_pixels_classes_and_names(tmp_path):
    plain = opened(save_npz(tmp_path / "a.npz")).digest
    assert opened(save_npz(tmp_path / "b.npz")).digest == plain
    assert opened(save_npz(tmp_path / "c.npz", seed=1)).digest != plain
    x, y = bars()
    y[0] = 1
    np.savez(tmp_path / "d.npz", x=x, y=y)
    assert opened(tmp_path / "d.npz").digest != plain
    names = [opened(save_folder(tmp_path / n[0], names=n)).digest for n in ("abc", "bcd")]
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([[0, 255]], np.uint8), [[0, 255]]),
        (np.array([[0, 255]]), [[0, 255]]),
        (np.array([[False, True]]), [[0, 255]]),
        (np.array([[0, 65535, 257]], np.uint16), [[0, 255, 1]]),
        (np.array([[0.0, 0.5]]), [[0.0, 0.5]]),
    ],
)
def test_numbers_become_pixels(image, expected):
    np.testing.assert_array_equal(as_pixels(image)[:, :, 0], expected)


@pytest.mark.parametrize("image", [np.array([[256]]), np.array([[-1]]), np.array([[np.nan]])])
def test_numbers_that_are_no_pixels_are_refused(image):
    with pytest.raises(ReadError, match="holds"):
        as_pixels(image)


def test_a_broken_image_is_left_out_and_named_or_refused(tmp_path):
    place = save_folder(tmp_path / "bars")
    broken = place / "spot" / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    found = opened(place)
    assert len(found) == 120
    assert [str(broken) in one for one in found.skipped] == [True]
    with pytest.raises(DataError, match=r"broken\.png"):
        opened(place, strict=True)


def test_a_class_of_which_nothing_can_be_read_is_refused(tmp_path):
    place = save_folder(tmp_path / "bars")
    (place / "torn").mkdir()
    (place / "torn" / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"no image of class 'torn' can be read: .*a\.png"):
        opened(place)


def test_files_beside_the_class_folders_are_told_of(tmp_path):
    place = save_folder(tmp_path / "bars")
    (place / "readme.txt").write_text("x")
    (place / "spot" / "notes.txt").write_text("x")
    (place / ".hidden").mkdir()
    source = open_source(str(place), "train")
    assert source.notes == ("1 files outside of class folders are left out",)
    assert len(opened(place)) == 120


def test_images_of_different_sizes_are_refused(tmp_path):
    place = save_folder(tmp_path / "bars")
    Image.new("L", (5, 4)).save(place / "spot" / "zzz.png")
    with pytest.raises(DataError, match=r"zzz\.png is 4x5, but .* is 12x12: give --size"):
        opened(place)


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def idx_with(path, data, suffix=""):
    save_idx(path.parent / "idx", suffix=suffix)
    place = path.parent / "idx" / f"train-images-idx3-ubyte{suffix}"
    place.write_bytes(data(place.read_bytes()))
    return place


X, Y = bars(12)
BAD = {
    "no such": (lambda p: p, "no data"),
    "no kind": (lambda p: p.write_text("x") and p, "neither a folder, nor idx images"),
    "empty folder": (lambda p: p.mkdir() or p, "has no subfolders"),
    "empty class": (lambda p: (p / "a").mkdir(parents=True) or p, "holds no image: fill"),
    "no x": (lambda p: npz(p.with_suffix(".npz"), z=X, y=Y), "has no array"),
    "no y": (lambda p: npz(p.with_suffix(".npz"), x=X), "has no array 'y', only: x"),
    "counts": (lambda p: npz(p.with_suffix(".npz"), x=X, y=Y[:5]), "12 images, but 5 labels"),
    "negative": (lambda p: npz(p.with_suffix(".npz"), x=X, y=Y - 1), "y holds -1 to "),
    "fractions": (lambda p: npz(p.with_suffix(".npz"), x=X, y=Y / 2), "not float64: save y"),
    "truths": (lambda p: npz(p.with_suffix(".npz"), x=X, y=Y > 0), "not bool: save"),
    "texts": (lambda p: npz(p.with_suffix(".npz"), x=X, y=Y.astype(str)), "classes are numbers"),
    "a column": (lambda p: npz(p.with_suffix(".npz"), x=X, y=Y[:, None]), "a class for each image"),
    "huge label": (lambda p: npz(p.with_suffix(".npz"), x=X, y=Y + 10**6), "10,000 at most"),
    "gap": (lambda p: npz(p.with_suffix(".npz"), x=X, y=Y * 2), "no image is of class '1'"),
    "axes": (lambda p: npz(p.with_suffix(".npz"), x=X[0], y=Y), "must be .n, rows, cols"),
    "floats": (lambda p: npz(p.with_suffix(".npz"), x=X * 3.5, y=Y), "pixels are 0..1 or 0..255"),
    "no zip": (lambda p: (q := p.with_suffix(".npz")).write_bytes(b"PK") and q, "zip"),
    "objects": (lambda p: npz(p.with_suffix(".npz"), x=X.astype(object), y=Y), "type object"),
    "truncated": (lambda p: idx_with(p, lambda d: d[:-5]), "is truncated"),
    "magic": (lambda p: idx_with(p, lambda d: b"\0\0\x0d\x03" + d[4:]), "is not an idx file"),
    "idx count": (lambda p: idx_with(p, lambda d: d[:7] + b"\x09" + d[8:]), "9 images, but 120"),
    "no gzip": (lambda p: idx_with(p, lambda d: d[1:], ".gz"), "broken"),
    "torn gzip": (lambda p: idx_with(p, lambda d: d[:-40], ".gz"), "broken|truncated"),
    "large": (lambda p: idx_with(p, lambda d: d[:8] + b"\xff" * 8 + d[16:]), "declares images"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_data_is_refused_in_one_line(tmp_path, kind):
    make, words = BAD[kind]
    with pytest.raises((DataError, UsageError), match=words) as error:
        opened(make(tmp_path / "data"))
    assert "\n" not in str(error.value)


def test_labels_that_are_missing_are_named(tmp_path):
    place = save_idx(tmp_path / "bars")
    (place.parent / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="its labels are missing"):
        opened(place)


def test_a_gzip_bomb_of_declared_pixels_is_not_unpacked(tmp_path):
    head = b"\0\0\x08\x03" + np.array([1, 60000, 60000], ">u4").tobytes()
    place = tmp_path / "train-images-idx3-ubyte.gz"
    place.write_bytes(gzip.compress(head))
    labels = b"\0\0\x08\x01" + np.array([1], ">u4").tobytes() + b"\0"
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(DataError, match="declares images of 60000x60000"):
        opened(place)


def test_without_room_for_a_copy_it_is_one_line(tmp_path):
    import subprocess
    import sys

    save_npz(tmp_path / "bars.npz")
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "from featcli.cli.main import main; main(['train', 'bars.npz', '-o', 'm.npz'])"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "featcli train: cannot keep a copy of the images: File too large\n"
    assert [one.name for one in tmp_path.iterdir()] == ["bars.npz"]


@pytest.mark.parametrize("place", [-6, -3])
def test_a_checksum_of_idx_files_that_is_wrong_is_found(tmp_path, place):
    save_idx(tmp_path, suffix=".gz")
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match=r"broken: (CRC check failed|Incorrect length)"):
            opened(tmp_path)
        path.write_bytes(whole)


def special(kind, path):
    """Something in a folder that is no file."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.relpath(path))  # a whole path may be too long for a socket
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_is_not_opened_but_counted(tmp_path, kind):
    place = save_folder(tmp_path / "bars", count=12)
    path = special(kind, place / "spot" / "odd.png")
    found = opened(place)
    assert len(found) == 12
    assert found.skipped == (f"{path}: is not a regular file (a pipe or device?): not opened",)
    with pytest.raises(DataError, match="not opened"):
        opened(place, strict=True)


def test_a_folder_with_the_name_of_an_image_is_a_folder(tmp_path):
    place = save_folder(tmp_path / "bars", count=12)
    special("folder", place / "spot" / "odd.png")
    assert (len(opened(place)), opened(place).skipped) == (12, ())


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
@pytest.mark.parametrize("name", ["x.npz", "train-images-idx3-ubyte", "photo.png"])
def test_data_that_is_no_file_is_not_opened(tmp_path, kind, name):
    with pytest.raises(DataError, match="not opened"):
        opened(special(kind, tmp_path / name))


def test_idx_files_that_are_no_files_are_not_opened(tmp_path):
    special("pipe", tmp_path / "train-images-idx3-ubyte")
    save_idx(tmp_path, part="t10k", count=12)
    with pytest.raises(DataError, match="has no subfolders"):
        opened(tmp_path)
    images = tmp_path / "t10k-images-idx3-ubyte"
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    special("pipe", tmp_path / "t10k-labels-idx1-ubyte")
    with pytest.raises(DataError, match="its labels are missing"):
        opened(images)


def lengths(*axes):
    return b"".join(np.array([one], ">u4").tobytes() for one in axes)


MANY = 2**32 - 1
HEADS = {
    "more images": ("images", lambda d: d + b"\0", "is longer than its header says"),
    "fewer images": ("images", lambda d: d[:-1], "is truncated"),
    "no images": ("images", lambda d: b"", "is truncated"),
    "half a head": ("images", lambda d: d[:9], "is truncated"),
    "magic": ("images", lambda d: b"\0\0\x08\x01" + d[4:], "not an idx file of bytes with 3 axes"),
    "floats": ("images", lambda d: b"\0\0\x0d\x03" + d[4:], "not an idx file of bytes with 3 axes"),
    "count": ("images", lambda d: d[:4] + lengths(MANY) + d[8:], f"{MANY} images, but 120 labels"),
    "sides": ("images", lambda d: d[:8] + lengths(MANY, MANY) + d[16:], "declares images of"),
    "thin": ("images", lambda d: d[:8] + lengths(0, 12) + d[16:], "declares images of 0x12"),
    "large": ("images", lambda d: d[:8] + lengths(2**14, 2**14) + d[16:], "is truncated"),
    "more labels": ("labels", lambda d: d + b"\0", "is longer than its header says"),
    "fewer labels": ("labels", lambda d: d[:-1], "is truncated"),
    "other count": ("labels", lambda d: d[:4] + lengths(119) + d[8:-1], "120 images, but 119"),
    "no labels": ("labels", lambda d: d[:4] + lengths(0), "declares 0 labels"),
    "label magic": ("labels", lambda d: b"\0\0\x08\x03" + d[4:], "not an idx file of bytes with 1"),
    "many labels": ("labels", lambda d: d[:4] + lengths(MANY) + d[8:], f"declares {MANY} labels"),
    "most labels": ("labels", lambda d: d[:4] + lengths(2**28) + d[8:], "is truncated"),
}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("kind", HEADS)
def test_idx_files_that_lie_are_refused_before_memory_is_taken(tmp_path, kind, suffix):
    which, change, words = HEADS[kind]
    save_idx(tmp_path, suffix=suffix)
    place = next(tmp_path.glob(f"train-{which}*"))
    unpack, pack = (gzip.decompress, gzip.compress) if suffix else (bytes, bytes)
    place.write_bytes(pack(change(unpack(place.read_bytes()))))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=words) as error:
            opened(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(place) in str(error.value) or which == "labels"
    assert peak < 10_000_000  # of up to 2**64 bytes that are declared


@pytest.mark.parametrize("data", [np.full((12, 12, 1), np.nan), np.arange(4), np.ones((12, 12))])
def test_an_array_that_is_called_an_image_is_left_out(tmp_path, data):
    place = save_folder(tmp_path / "bars", count=12)
    with (place / "spot" / "odd.png").open("wb") as stream:
        np.save(stream, data)
    found = opened(place)
    assert len(found) == 12
    assert [f"holds {data.dtype} of shape" in one for one in found.skipped] == [True]


def test_images_with_channels_first_are_refused_with_the_way_to_turn_them(workspace):
    np.savez(workspace / "d.npz", x=np.zeros((4, 1, 12, 12), np.uint8), y=np.array([0, 1, 0, 1]))
    with pytest.raises(DataError, match=r"channels first; .* save x\.transpose\(0, 2, 3, 1\)"):
        Arrays(workspace / "d.npz")
