"""The compiled kernel resizes bytes to the numbers of Pillow, and so does what stands in for it."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from featcli.engine import library, resampling
from featcli.ops.resizing import resize

FILTERS = ("box", "bilinear", "bicubic", "hamming", "lanczos")
sizes = st.integers(1, 90)
shapes = {
    "shape": st.tuples(sizes, sizes, st.sampled_from([1, 2, 3, 5])),
    "size": st.tuples(st.integers(1, 130), st.integers(1, 130)),
    "filter": st.sampled_from(FILTERS),
    "seed": st.integers(0, 999),
}


def picture(shape, seed):
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return (values > 127) * np.uint8(255) if seed % 3 == 0 else values


def by_pillow(maps, size, filter):
    """First along the rows, to bytes, then along the columns; channel by channel."""
    method = Image.Resampling[filter.upper()]
    planes = [Image.fromarray(np.ascontiguousarray(one)) for one in np.moveaxis(maps, 2, 0)]
    along = [plane.resize((size[1], plane.height), method) for plane in planes]
    return np.stack([np.asarray(p.resize((p.width, size[0]), method)) for p in along], axis=2)


@settings(max_examples=200, deadline=None)
@given(**shapes)
def test_bytes_are_resized_to_the_numbers_of_pillow(shape, size, filter, seed):
    maps = picture(shape, seed)
    np.testing.assert_array_equal(resize(maps, size, filter=filter), by_pillow(maps, size, filter))


@settings(max_examples=60, deadline=None)
@given(**shapes)
def test_without_the_compiled_kernel_the_numbers_are_the_same(shape, size, filter, seed):
    maps = picture(shape, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "load", lambda: None)
        found = resize(maps, size, filter=filter)
    np.testing.assert_array_equal(found, resize(maps, size, filter=filter))


@pytest.mark.skipif(library.load() is None, reason="there is no compiled kernel")
@pytest.mark.parametrize("bytes_wide", [16, 32, 64])
@settings(max_examples=60, deadline=None)
@given(**shapes)
def test_every_width_of_vectors_gives_the_same_numbers(bytes_wide, shape, size, filter, seed):
    if filter not in ("box", "bilinear", "bicubic"):
        filter = "bicubic"
    maps = picture(shape, seed)
    widest = ctypes.c_int32.in_dll(library.load(), "featcli_widest")
    before, widest.value = widest.value, bytes_wide
    try:
        found = resampling.resampled(maps, *size, filter)
    finally:
        widest.value = before
    np.testing.assert_array_equal(found, by_pillow(maps, size, filter))


@pytest.mark.parametrize("size", [(300, 2), (2, 3000), (1, 1), (4000, 5)])
def test_pictures_far_longer_than_wide_are_resized(size):
    maps = picture((700, 4, 3), 1)
    np.testing.assert_array_equal(resize(maps, size), by_pillow(maps, size, "bicubic"))


def test_a_view_with_steps_is_resized_as_its_copy():
    maps = picture((40, 60, 3), 2)
    np.testing.assert_array_equal(resize(maps[::2, ::-1], 12), resize(maps[::2, ::-1].copy(), 12))


def test_nothing_is_written_over_what_was_given():
    maps = picture((8, 8, 3), 4)
    found = resize(maps, (8, 8))
    found[:] = 0
    np.testing.assert_array_equal(maps, picture((8, 8, 3), 4))
