"""Animated PNG: the picture that viewers without animations show, and every frame as it is seen."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused

from featcli import read

SIZE = 6
KEEP, CLEAR, PREVIOUS = range(3)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def pixels(colour, rows, cols):
    line = b"\0" + bytes(colour) * cols
    return zlib.compress(line * rows)


def apng(frames, default=None):
    """Build one: frames are (colour RGBA, top, left, rows, cols, dispose, blend)."""
    head = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 6, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"acTL", struct.pack(">II", len(frames), 0))]
    if default:
        parts.append(chunk(b"IDAT", pixels(default, SIZE, SIZE)))
    count = 0
    for number, (colour, top, left, rows, cols, dispose, blend) in enumerate(frames):
        control = (count, cols, rows, left, top, 1, 10, dispose, blend)
        parts.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", *control)))
        count += 1
        packed = pixels(colour, rows, cols)
        if number or default:
            parts.append(chunk(b"fdAT", struct.pack(">I", count) + packed))
            count += 1
        else:
            parts.append(chunk(b"IDAT", packed))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def seen(frames):
    """Draw the frames one after another, value by value (APNG specification: dispose, blend)."""
    canvas = np.zeros((SIZE, SIZE, 4))
    for colour, top, left, rows, cols, dispose, blend in frames:
        before = canvas.copy()
        for row in range(top, top + rows):
            for col in range(left, left + cols):
                alpha = colour[3] / 255
                if not blend or alpha == 1 or canvas[row, col, 3] == 0:
                    canvas[row, col] = colour
                elif alpha:
                    raise AssertionError("the test mixes no half-transparent colours")
        yield canvas.astype(np.uint8).copy()
        area = np.s_[top : top + rows, left : left + cols]
        if dispose == CLEAR:
            canvas[area] = 0
        elif dispose == PREVIOUS:
            canvas = before


RED, GREEN, BLUE, CLEAR_INK = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (0, 0, 0, 0)
WHOLE = (0, 0, SIZE, SIZE)


@pytest.mark.parametrize("dispose", [KEEP, CLEAR, PREVIOUS])
@pytest.mark.parametrize("blend", [0, 1])
def test_every_frame_is_what_is_seen(dispose, blend, workspace, inline):
    frames = [
        (RED, *WHOLE, KEEP, 0),
        (GREEN, 1, 2, 3, 2, dispose, 0),
        (CLEAR_INK, 0, 0, 4, 4, dispose, blend),
        (BLUE, 4, 0, 2, 6, KEEP, blend),
    ]
    Path("a.png").write_bytes(apng(frames))
    done = inline("abs", "a.png", "--frames", "all", "--background", "keep", "-o", "out/")
    assert done.returncode == 0, done.stderr
    found = [np.load(f"out/a.{number}.abs.npy") for number in range(4)]
    for one, wanted in zip(found, seen(frames), strict=True):
        one = one if one.shape[2] == 4 else np.dstack([one, np.full_like(one[:, :, :1], 255)])
        shown = wanted[:, :, 3] > 0
        np.testing.assert_array_equal(one[shown], wanted[shown])
        np.testing.assert_array_equal(one[:, :, 3], wanted[:, :, 3])


def test_a_picture_that_is_no_frame_is_what_is_read(tmp_path):
    frames = [(GREEN, *WHOLE, KEEP, 0), (BLUE, *WHOLE, KEEP, 0)]
    (tmp_path / "a.png").write_bytes(apng(frames, default=RED))
    assert read(tmp_path / "a.png").data[0, 0].tolist() == [255, 0, 0]


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    (tmp_path / "a.png").write_bytes(apng([(GREEN, *WHOLE, KEEP, 0), (BLUE, *WHOLE, KEEP, 0)]))
    assert read(tmp_path / "a.png").data[0, 0].tolist() == [0, 255, 0]


def test_a_first_frame_that_is_not_the_whole_picture_hinders_only_its_animation(workspace, inline):
    data = apng([(GREEN, *WHOLE, KEEP, 0), (BLUE, *WHOLE, KEEP, 0)])
    control = struct.pack(">IIIIIHHBB", 0, SIZE, SIZE, 0, 0, 1, 10, KEEP, 0)
    wrong = struct.pack(">IIIIIHHBB", 0, SIZE, 3, 0, 0, 1, 10, KEEP, 0)
    assert chunk(b"fcTL", control) in data
    Path("a.png").write_bytes(data.replace(chunk(b"fcTL", control), chunk(b"fcTL", wrong)))
    assert read("a.png").data[5, 5].tolist() == [0, 255, 0]
    assert_refused(inline("abs", "a.png", "--frames", "all", "-o", "out/"), 1, "first frame")


def test_a_header_that_does_not_come_first_is_refused(workspace, inline):
    data = apng([(GREEN, *WHOLE, KEEP, 0)])
    head = data[8:33]
    Path("a.png").write_bytes(data[:8] + chunk(b"tEXt", b"a\0b") + head + data[33:])
    assert_refused(inline("abs", "a.png", "-o", "out/"), 1, "does not begin with its header")
