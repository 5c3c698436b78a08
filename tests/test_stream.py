"""The tar stream: what is written comes back, and others read it."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tars import (
    HISTORY,
    MAPS,
    assert_same,
    picture,
    sample,
    samples_of,
    stream_of,
    tar_of,
)

import featcli
from featcli.frame import Frame, Sample, Source
from featcli.io.options import ReadOptions
from featcli.io.stream import TarWriter, read_tar

# Round trip

KEYS = [
    "k",
    "sub/folder.d/k",
    "a.b.c",
    "100%",
    "100%2E",
    ".hidden",
    "with space",
    "日本/é",
    "two\nlines",
    "tab\t",
    os.fsdecode(b"\xff\xfe not utf-8"),
    "n" * 300,
    "/".join(["d" * 90] * 4),
    "-dash",
    "back\\slash",
]


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_a_sample_comes_back_whatever_its_key(key):
    one = sample(key, ("", "R", "a.b"), file=key + ".png")
    (found,) = samples_of(stream_of(one))
    assert_same(found, one)


KEY = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


@given(
    st.lists(KEY.filter(lambda key: key not in (".", "..")), min_size=1, max_size=3),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), min_size=1, max_size=3),
    st.sampled_from(["?", "u1", "i2", "u2", "i4", "f2", "f4", "f8", "u8"]),
    st.sampled_from([(3,), (1, 1, 1), (2, 3, 2)]),
)
@settings(max_examples=150)
def test_any_sample_comes_back(pieces, parts, dtype, shape):
    data = np.ones(shape, dtype)
    source = Source("/".join(pieces), "f")
    labels = ("x",) * shape[-1]
    frames = tuple(Frame(data, labels, source, part, HISTORY) for part in parts)
    (found,) = samples_of(stream_of(Sample(source, frames)))
    assert_same(found, Sample(source, frames))


def test_samples_keep_their_order_and_a_failed_one_its_error():
    all_of = [sample("a"), Sample(Source("b", "b.png"), error="b.png: truncated"), sample("c")]
    found = samples_of(stream_of(*all_of))
    for one, expected in zip(found, all_of, strict=True):
        assert_same(one, expected)


def test_equal_inputs_give_equal_bytes_whatever_the_clock_and_the_locale(monkeypatch):
    data = stream_of(sample("日本", ("R", "G")))
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "ascii")
    assert stream_of(sample("日本", ("R", "G"))) == data
    fortran = np.asfortranarray(MAPS)
    assert stream_of(sample(data=fortran)) == stream_of(sample())


def test_a_vector_without_labels_comes_back():
    one = sample(data=np.arange(5))
    assert_same(samples_of(stream_of(one))[0], one)


def test_an_empty_stream_has_no_samples():
    assert samples_of(stream_of()) == []


def test_a_sample_is_pushed_on_at_once():
    stream = io.BytesIO()
    TarWriter(stream).write(sample())
    assert stream.getvalue().endswith(bytes(512 - (128 + 96)))  # header and data of the .npy
    assert len(stream.getvalue()) == 512 * 4


# Others read it


def test_names_follow_webdataset():
    """A name splits at the first dot of its last piece, and a sample's entries are adjacent."""
    data = stream_of(*(sample(key, ("", "R", "a.b")) for key in KEYS))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
    stems = [
        name.rpartition("/")[0] + "/" + name.rpartition("/")[2].split(".")[0] for name in names
    ]
    assert all(len(set(stems[k : k + 4])) == 1 for k in range(0, len(stems), 4))
    assert len(set(stems)) == len(KEYS)
    suffixes = [name.rpartition("/")[2].partition(".")[2] for name in names]
    assert suffixes == ["json", "npy", "R.npy", "a.b.npy"] * len(KEYS)


def test_webdataset_reads_the_samples(tmp_path):
    reader = pytest.importorskip("webdataset.tariterators", reason="webdataset is not installed")
    path = tmp_path / "maps.tar"
    path.write_bytes(stream_of(sample("a.b/c.d", ("R", "G")), sample("e")))
    with path.open("rb") as stream:
        files = list(reader.tar_file_iterator(stream))
    found = list(reader.group_by_keys({**one, "__url__": "x"} for one in files))
    assert [one["__key__"] for one in found] == ["a.b/c%2Ed", "e"]
    assert {"json", "R.npy".lower(), "G.npy".lower()} <= set(found[0])
    assert np.array_equal(np.load(io.BytesIO(found[1]["npy"])), MAPS)


def test_tar_lists_and_unpacks_it_and_the_files_keep_their_history(tmp_path):
    data = stream_of(sample("sub/a"), sample("b.c", ("R",)))
    listed = subprocess.run(["tar", "tf", "-"], input=data, capture_output=True, check=True)
    assert listed.stdout.decode().split() == [
        "sub/a.json",
        "sub/a.npy",
        "b%2Ec.json",
        "b%2Ec.R.npy",
    ]
    assert listed.stderr == b""
    subprocess.run(["tar", "xf", "-"], input=data, cwd=tmp_path, check=True)
    assert np.array_equal(np.load(tmp_path / "b%2Ec.R.npy"), MAPS)
    frame = featcli.read(tmp_path / "sub" / "a.npy")
    assert (frame.labels, frame.history, frame.source.key) == (("a", "b"), HISTORY, "sub/a")


@pytest.mark.parametrize("format", ["gnu", "pax", "ustar", "v7"])
def test_a_tar_of_plain_images_is_read_one_by_one(tmp_path, format):
    folder = tmp_path / "in.d"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.v1.png", "a.v2.png", "sub/b.png", "sub/é.png"):
        (folder / name).write_bytes(picture())
    np.save(folder / "c.npy", MAPS)
    (folder / "notes.txt").write_text("hello")
    (folder / "._a.v1.png").write_bytes(b"\0\5\x16\7" + bytes(60))
    command = ["tar", f"--format={format}", "--sort=name", "-cf", "-", "-C", str(folder), "."]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    left_out = Counter()
    found = list(read_tar(io.BytesIO(data), ReadOptions(), left_out))
    keys = [one.source.key for one in found if one.frames]
    assert sorted(keys) == sorted(["a.v1", "a.v2", "sub/b", "sub/é", "c"])
    assert not any(one.error for one in found)
    assert left_out == {".txt": 1}


def test_an_image_that_is_broken_in_a_tar_fails_alone():
    found = samples_of(tar_of(("a.png", picture()), ("b.png", picture()[:40]), ("c.png", b"no")))
    assert [bool(one.frames) for one in found] == [True, False, False]
    assert found[1].error.startswith("b.png: broken or truncated PNG")
    assert found[2].error.startswith("c.png: not an image")


def test_reading_options_reach_the_images_in_a_tar():
    (found,) = samples_of(tar_of(("a.png", picture(255))), unit=True)
    assert found.frames[0].data.max() == 1.0
