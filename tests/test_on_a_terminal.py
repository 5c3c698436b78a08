"""What people at a terminal get to see: a word on the picture, few colours, 80 columns."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminals import shown

import featcli
from featcli.view.terminal import half_blocks, limited, xterm_colours


def lines(found: bytes) -> list[str]:
    text = re.sub(r"\x1b\[[\d;]*m", "", found.decode())
    return text.replace("\r\n", "\n").splitlines()


def test_a_person_is_told_that_a_picture_lies_beside_the_array(workspace):
    first, hint = lines(shown(None, "abs", "photo.jpg", with_messages=True))
    assert first == "photo.abs.npy"
    assert "its picture is photo.abs.png" in hint and "featcli show photo.abs.npy" in hint
    assert (workspace / "photo.abs.png").is_file()


def test_of_several_results_one_line_tells(workspace):
    found = lines(shown(None, "split-channels", "photo.jpg", with_messages=True))
    assert found[:3] == ["photo.R.npy", "photo.G.npy", "photo.B.npy"]
    assert len(found) == 4 and "3 pictures" in found[3] and "photo.R.png" in found[3]


@pytest.mark.parametrize(
    "more", [("-q",), ("-o", "x.npy"), ("-o", "x.png"), ("--json",), ("-o", "x.npz")]
)
def test_nothing_is_said_to_whom_it_does_not_help(workspace, more):
    found = lines(shown(None, "abs", "photo.jpg", *more, with_messages=True))
    assert len(found) == 1 and "picture is" not in found[0]


def test_nothing_is_said_where_a_pipe_or_a_file_takes_paths_or_messages(workspace, featcli):
    assert shown(None, "abs", "photo.jpg") == b"photo.abs.npy\r\n"
    assert featcli("relu", "photo.jpg").stderr == ""


@pytest.mark.parametrize("name", ["imagenet", "digits", "zero-one"])
def test_a_models_layers_fit_80_columns(name, featcli):
    found = featcli("info", name).stdout.splitlines()
    assert max(map(len, found)) <= 80
    assert not any(line.strip() in ("kB", "MB") for line in found)


def test_the_list_of_kernels_fits_80_columns(featcli):
    assert max(map(len, featcli("kernels").stdout.splitlines())) <= 80


def numbers(found: bytes) -> set[int]:
    """The colours of 256 that were asked for."""
    return {int(one) for one in re.findall(rb"[34]8;5;(\d+)", found)}


def test_a_grey_picture_is_grey_in_256_colours(workspace):
    found = shown(b"\x1b[?1;2c", "show", "samples/camera.png", env={"COLORTERM": ""})
    greys = {16, 59, 102, 145, 188, 231, *range(232, 256)}
    assert len(numbers(found)) > 15
    assert numbers(found) <= greys
    assert b"8;2;" not in found


def test_a_photo_keeps_its_mean_colours_in_256(workspace):
    photo = featcli.read("photo.jpg").data
    full = np.array(
        [cell for row in half_blocks(photo, 80) for pair in row for cell in pair if cell]
    )
    few = half_blocks(photo, 80, None, xterm_colours())
    dithered = np.array([cell for row in few for pair in row for cell in pair if cell])
    assert np.abs(full.mean(axis=0) - dithered.mean(axis=0)).max() < 3
    known = {tuple(colour) for colour in xterm_colours().tolist()}
    assert {tuple(colour) for colour in dithered.tolist()} <= known


def test_the_colours_are_those_that_xterm_has():
    colours = xterm_colours()
    assert colours.shape == (240, 3)
    assert colours[0].tolist() == [0, 0, 0] and colours[215].tolist() == [255, 255, 255]
    assert colours[196 - 16].tolist() == [255, 0, 0] and colours[-1].tolist() == [238] * 3


@given(st.integers(0, 255))
def test_a_grey_becomes_a_near_grey(level):
    colours = xterm_colours()
    found = limited(np.full((2, 2), level, np.uint8), colours, dither=True)
    greys = np.unique(colours[(colours == colours[:, :1]).all(axis=1)])
    nearest = np.abs(greys.astype(int) - level).min()
    assert abs(int(found[0, 0, 0]) - level) <= nearest + 6  # Pillow looks for near, not nearest
    assert (found == found[0, 0, 0]).all()


def test_a_terminal_of_16_colours_gets_greys(workspace):
    found = shown(None, "show", "samples/camera.png", env={"TERM": "xterm", "COLORTERM": ""})
    asked = set(re.findall(r"\x1b\[([\d;]*)m", found.decode()))
    assert {int(one) for pair in asked for one in pair.split(";") if one} <= {
        *(0, 30, 37, 90, 97, 40, 47, 100, 107)
    }
