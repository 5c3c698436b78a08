"""Arrays on disk, with what their sidecars say of them."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import (
    GRAY,
    RGB,
    frame_of,
    sample_of,
    saved_array,
    saved_arrays,
)

import featcli
from featcli.errors import ReadError
from featcli.frame import Source, Step
from featcli.io.options import ReadOptions
from featcli.io.reading import read_file

# Arrays and their sidecars


def test_an_array_without_sidecar_has_numbered_channels_and_no_history(tmp_path):
    np.save(tmp_path / "a.npy", RGB.astype(np.float64) / 3)
    frame = featcli.read(tmp_path / "a.npy")
    assert frame.labels == ("0", "1", "2")
    assert frame.history == ()
    assert frame.source == Source("a", str(tmp_path / "a.npy"))
    assert np.array_equal(frame.data, RGB.astype(np.float64) / 3)


def test_an_array_with_its_sidecar_is_the_frame_that_was_written(tmp_path):
    steps = (Step.of("convolve", kernel=((1.0, 2.0),)), Step.of("relu"))
    frame = featcli.Frame(RGB, ("R", "G", "B"), Source("sub/x", "x.png"), "p", steps)
    featcli.write(tmp_path / "a.npy", frame)
    found = featcli.read(tmp_path / "a.npy")
    assert (found.labels, found.source, found.part, found.history) == (
        frame.labels, frame.source, frame.part, frame.history,
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        '{"featcli": "1", "shape": [1], "dtype": "|u1", "source": {"key": "k", "file": ""}}',
        '{"featcli": "1"}',
        '{"featcli": "1", "source": 3}',
        '{"featcli": "1", "source": {"key": "../k", "file": ""}}',
        '{"featcli": "1", "arrays": 7}',
        '{"featcli": "1", "arrays": {"": 7}}',
        '{"featcli": "1", "arrays": {"": [1]}}',
    ],
)
def test_a_sidecar_that_disagrees_is_not_used_and_that_is_said(tmp_path, text):
    np.save(tmp_path / "a.npy", GRAY)
    (tmp_path / "a.json").write_text(text)
    sample = read_file(tmp_path / "a.npy", "a", ReadOptions())
    assert sample.frames[0].labels == ("0",)
    assert sample.source.key == "a"
    assert len(sample.notes) == 1
    assert sample.notes[0].startswith("the sidecar beside it is ignored")


def test_an_npz_gives_its_arrays_as_parts_or_the_only_one_without_a_part(tmp_path):
    (tmp_path / "two.npz").write_bytes(saved_arrays(a=GRAY, b=np.arange(3.0)))
    two = read_file(tmp_path / "two.npz", "two", ReadOptions())
    assert [(frame.part, frame.data.ndim) for frame in two.frames] == [("a", 3), ("b", 1)]
    with pytest.raises(ReadError, match="holds 2 arrays, not one"):
        featcli.read(tmp_path / "two.npz")
    assert frame_of(saved_arrays(a=GRAY)).part == ""


def test_an_npz_with_its_sidecar_gives_the_frames_that_were_written(tmp_path):
    frame = featcli.Frame(RGB, ("R", "G", "B"), Source("x", "x.png"), "", (Step.of("relu"),))
    featcli.write(tmp_path / "a.npz", frame)
    found = featcli.read(tmp_path / "a.npz")
    assert (found.labels, found.source, found.history) == (
        frame.labels,
        frame.source,
        frame.history,
    )


def test_channels_first_gets_a_note_and_the_layout_option_mends_it():
    first = np.moveaxis(RGB, 2, 0).copy()
    sample = sample_of(saved_array(first))
    assert sample.frames[0].data.shape == first.shape
    assert sample.notes == (f"shape {first.shape} looks like channels first (see --layout chw)",)
    mended = sample_of(saved_array(first), layout="chw")
    assert np.array_equal(mended.frames[0].data, RGB)
    assert mended.frames[0].labels == ("0", "1", "2")
    assert mended.notes == ()


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (), (0,), (3, 0), (1, 1, 1, 1)])
def test_an_array_that_is_neither_maps_nor_a_vector_is_refused(shape):
    with pytest.raises(ReadError, match=r"neither maps|is empty"):
        sample_of(saved_array(np.zeros(shape)))


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"featcli": "0.1', "[" * 100_000, "\0\xff"])
def test_a_broken_sidecar_is_noted(tmp_path, text):
    np.save(tmp_path / "x.npy", np.zeros((2, 2)))
    (tmp_path / "x.json").write_text(text, encoding="latin-1")
    sample = read_file(tmp_path / "x.npy", "x", ReadOptions())
    assert "sidecar beside it is ignored" in sample.notes[0]


def test_a_json_of_somebody_else_is_not_noted(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2)))
    (tmp_path / "x.json").write_text('{"my": "notes"}')
    assert read_file(tmp_path / "x.npy", "x", ReadOptions()).notes == ()
