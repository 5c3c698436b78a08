"""`show` in the terminal's own graphics: only where it says that it can, and never waiting long."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from terminals import QUESTION, shown

from featcli.cli.graphics import protocol_in
from featcli.view.graphics import encoded


def from_sixel(data: bytes) -> np.ndarray:
    """A slow decoder, character by character."""
    text = re.search(rb"\x1bP[\d;]*q(.*)\x1b\\", data, re.S)[1].decode()
    head, cols, rows = re.match(r'("1;1;(\d+);(\d+))', text).groups()
    pixels = np.zeros((int(rows) + 6, int(cols), 3), int)
    colours: dict[int, tuple[int, ...]] = {}
    row = col = colour = 0
    for token in re.findall(r"#\d+(?:;2;\d+;\d+;\d+)?|!\d+.|[?-~]|[$-]", text[len(head) :]):
        if token[0] == "#":
            numbers = [int(one) for one in token[1:].split(";")]
            colour = numbers[0]
            if len(numbers) > 1:
                colours[colour] = tuple(numbers[2:])
        elif token == "$":
            col = 0
        elif token == "-":
            row, col = row + 6, 0
        else:
            times = int(token[1:-1]) if token[0] == "!" else 1
            for bit in range(6):
                if (ord(token[-1]) - 63) >> bit & 1:
                    pixels[row + bit, col : col + times] = colours[colour]
            col += times
    assert not pixels[int(rows) :].any()
    return pixels[: int(rows)] * 255 / 100


def from_kitty(data: bytes) -> np.ndarray:
    chunks = re.findall(rb"\x1b_G([^;]*);([^\x1b]*)\x1b\\", data)
    assert chunks[0][0].startswith(b"a=T,f=100")
    assert [head[-3:] for head, _ in chunks] == [b"m=1"] * (len(chunks) - 1) + [b"m=0"]
    assert max(len(body) for _, body in chunks) <= 4096
    with Image.open(io.BytesIO(base64.b64decode(b"".join(body for _, body in chunks)))) as image:
        return np.asarray(image)


@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.integers(0, 99))
def test_both_protocols_carry_the_picture(rows, cols, grey, seed):
    shape = (rows, cols) if grey else (rows, cols, 3)
    shades = np.random.default_rng(seed).choice([0, 51, 102, 153, 204, 255], size=(4, 3))
    pixels = shades[np.random.default_rng(seed).integers(0, 4, (rows, cols))].astype(np.uint8)
    pixels = pixels[:, :, 0] if grey else pixels
    assert pixels.shape == shape
    room = (rows, cols)
    np.testing.assert_array_equal(from_kitty(encoded(pixels, "kitty", room)), pixels)
    wide = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)
    assert np.abs(from_sixel(encoded(pixels, "sixel", room)) - wide).max() <= 3


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 200), st.integers(1, 200))
def test_a_picture_never_leaves_its_room(rows, cols, most_rows, most_cols):
    data = encoded(np.zeros((rows, cols), np.uint8), "kitty", (most_rows, most_cols))
    found = from_kitty(data).shape
    assert found[0] <= most_rows and found[1] <= most_cols


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        *((b"\x1b[?62;4;22c", "sixel"), (b"\x1b[?1;2;4c", "sixel"), (b"\x1b[?1;2c", "")),
        *((b"\x1b_Gi=31;OK\x1b\\\x1b[?62c", "kitty"), (b"", ""), (b"\x1b[?64;14;24c", "")),
    ],
)
def test_a_terminal_says_what_it_can(answer, kind):
    assert protocol_in(answer) == kind


def test_a_terminal_with_sixel_gets_sixel(workspace):
    found = shown(b"\x1b[?62;4c", "show", "photo.jpg")
    rows, cols = from_sixel(found).shape[:2]
    assert (rows, cols) == (300, 451)


def test_a_terminal_of_kittys_kind_gets_a_png(workspace):
    found = shown(b"\x1b_Gi=31;OK\x1b\\\x1b[?62c", "show", "one.png")
    after = found[found.index(QUESTION) :]
    assert from_kitty(after).shape[:2] == (205, 205)  # cells with their numbers


@pytest.mark.parametrize("answer", [b"\x1b[?1;2c", None, b"nonsense"])
def test_any_other_terminal_gets_coloured_characters_and_is_not_waited_for(workspace, answer):
    found = shown(answer, "show", "photo.jpg")
    assert "▀".encode() in found and b"\x1bP" not in found and b"\x1b_Ga" not in found


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (("--graphics", "none"), {}),
        (("--values",), {}),
        ((), {"TERM": "dumb"}),
        ((), {"NO_COLOR": "1"}),
        ((), {"TERM": "linux"}),
    ],
)
def test_who_needs_no_answer_is_not_asked(workspace, arguments, env):
    assert QUESTION not in shown(None, "show", "one.png", *arguments, env=env)


def test_a_pipe_is_never_asked_and_takes_what_is_wished_for(workspace, featcli):
    assert "\x1b" not in featcli("show", "one.png").stdout
    done = featcli("show", "photo.jpg", "--graphics", "sixel", binary=True)
    assert from_sixel(done.stdout).shape[:2] == (300, 451)
    sheet = featcli("show", "photo.jpg", "--graphics", "kitty", "--cmap", "magma", binary=True)
    assert from_kitty(sheet.stdout).ndim == 3
