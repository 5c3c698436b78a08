"""The PNG encoder: every decoder gives the pixels back, and threads change no byte."""

from __future__ import annotations

import io
import os
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from featcli.engine import pixels as engine_pixels
from featcli.view import deflate
from featcli.view.picture import Picture
from featcli.view.png import save_png

shapes = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)),
)


def png(pixels):
    file = io.BytesIO()
    save_png(Picture(pixels, {}), file)
    return file.getvalue()


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)))


@given(hnp.arrays(np.uint8, shapes))
def test_pillow_reads_the_pixels_back(pixels):
    np.testing.assert_array_equal(decoded(png(pixels)), pixels)


def pictures():
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[0:600, 0:900]
    yield "ramp", ((rows + cols) // 6).astype(np.uint8)
    yield "noise", rng.integers(0, 256, (600, 900), np.uint8)
    yield "noisy ramp", ((rows + cols) // 6 + rng.integers(0, 5, (600, 900))).astype(np.uint8)
    yield "flat", np.full((600, 900, 3), 128, np.uint8)
    yield "tiles", np.tile(rng.integers(0, 256, (20, 20, 3), np.uint8), (30, 45, 1))
    yield "wide", rng.integers(0, 9, (2, 300_000), np.uint8)
    yield "tall", rng.integers(0, 9, (300_000, 1), np.uint8)


@pytest.mark.parametrize(("name", "pixels"), list(pictures()))
def test_pictures_of_many_strips_come_back_whatever_they_show(name, pixels):
    np.testing.assert_array_equal(decoded(png(pixels)), pixels)


@pytest.mark.parametrize(("name", "pixels"), list(pictures()))
def test_the_number_of_threads_changes_no_byte(name, pixels, monkeypatch):
    found = []
    for cores in (1, 2, 5):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: range(n), raising=False)
        found.append(png(pixels))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("name", "pixels"), list(pictures()))
def test_a_file_is_not_much_larger_than_pillows(name, pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    # Even ramps and single columns repeat over long distances, which separate strips cannot see.
    bound = 1.25 if name in ("ramp", "tall") else 1.07
    assert len(png(pixels)) <= bound * file.tell() + 300


@given(hnp.arrays(np.uint8, (5, 12)))
def test_the_predictors_are_those_of_the_specification(pixels):
    def paeth(a, b, c):
        p = a + b - c
        distances = [abs(p - a), abs(p - b), abs(p - c)]
        return [a, b, c][distances.index(min(distances))]

    predictors = [
        lambda a, b, c: 0,
        lambda a, b, c: a,
        lambda a, b, c: b,
        lambda a, b, c: (a + b) // 2,
        paeth,
    ]
    wide = np.pad(pixels.astype(int), ((1, 0), (3, 0)))
    for kind, predict in enumerate(predictors):
        out = np.empty_like(pixels)
        engine_pixels.residual(pixels, 0, 5, 3, kind, out)
        for row, col in np.ndindex(pixels.shape):
            near = wide[row + 1, col], wide[row, col + 3], wide[row, col]
            assert out[row, col] == (int(pixels[row, col]) - predict(*map(int, near))) % 256


def test_the_stream_is_one_zlib_stream_with_its_checksum():
    pixels = np.random.default_rng(1).integers(0, 256, (700, 800), np.uint8)
    data = b"".join(deflate.compressed(pixels))
    assert len(zlib.decompress(data)) == 700 * 801
