"""Files to frames: what each format stores is what comes out."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import (
    BITS,
    DEEP,
    EXACT,
    GRAY,
    RGB,
    RNG,
    encoded,
    frame_of,
    png_of,
    sample_of,
    saved_array,
    tiff_of,
    values_of,
)
from PIL import Image

import featcli
from featcli.errors import ReadError
from featcli.frame import Step

# Formats, by content


@pytest.mark.parametrize("name", EXACT)
def test_every_exact_format_gives_the_pixels_whatever_the_file_is_called(name, tmp_path):
    path = tmp_path / "misleading.gif"
    path.write_bytes(EXACT[name])
    assert np.array_equal(featcli.read(path).data, RGB)


def test_a_jpeg_gives_what_pillow_decodes_and_a_gif_its_palette_colours():
    jpeg = encoded(RGB, "JPEG", quality=90)
    assert np.array_equal(values_of(jpeg), np.asarray(Image.open(io.BytesIO(jpeg))))
    gif = encoded(Image.fromarray(RGB).quantize(16), "GIF")
    assert np.array_equal(values_of(gif), np.asarray(Image.open(io.BytesIO(gif)).convert("RGB")))


def test_a_progressive_and_a_gray_jpeg_are_read():
    assert frame_of(encoded(RGB, "JPEG", progressive=True)).labels == ("R", "G", "B")
    assert frame_of(encoded(GRAY, "JPEG")).labels == ("gray",)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "PPM"])
def test_eight_bit_gray_is_one_channel_as_stored(format):
    frame = frame_of(encoded(GRAY, format))
    assert frame.labels == ("gray",)
    assert frame.data.dtype == np.uint8
    assert np.array_equal(frame.data[:, :, 0], GRAY)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "PPM", "GIF"])
def test_one_bit_gives_zero_and_one(format):
    image = Image.fromarray(BITS * np.uint8(255)).convert("1")
    found = values_of(encoded(image, format))
    assert found.dtype == np.uint8
    top = 255 if format == "GIF" else 1  # a GIF has a palette and no 1-bit gray
    assert np.array_equal(found if found.ndim == 2 else found[:, :, 0], BITS * top)


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_lzw"])
def test_a_compressed_one_bit_tiff_gives_zero_and_one(compression):
    image = Image.fromarray(BITS * np.uint8(255)).convert("1")
    assert np.array_equal(values_of(encoded(image, "TIFF", compression=compression)), BITS)


# Depth


def test_sixteen_bit_gray_keeps_its_values():
    assert np.array_equal(values_of(encoded(DEEP, "PNG")), DEEP)
    for order in "<>":
        assert np.array_equal(values_of(tiff_of(DEEP, order)), DEEP)
    assert values_of(encoded(DEEP, "PNG")).dtype == np.uint16


@pytest.mark.parametrize(("channels", "colour"), [(2, 4), (3, 2), (4, 6)])
def test_sixteen_bit_colour_of_a_png_is_exact(channels, colour):
    pixels = RNG.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    sample = sample_of(png_of(pixels, colour), background="keep")
    assert np.array_equal(sample.frames[0].data, pixels)
    assert sample.notes == ()


@pytest.mark.parametrize("pack", [None, zlib.compress], ids=["plain", "deflated"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colour_of_a_tiff_is_exact(channels, order, pack):
    pixels = RNG.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    tags = {"t338": 2} if channels == 4 else {}
    frame = frame_of(tiff_of(pixels, order, pack=pack, **tags), background="keep")
    assert np.array_equal(frame.data, pixels)


@pytest.mark.parametrize("order", "<>")
def test_sixteen_bit_channels_stored_one_by_one_are_exact(order):
    pixels = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    assert np.array_equal(values_of(tiff_of(pixels, order, planar=True)), pixels)


@pytest.mark.parametrize("order", "<>")
def test_compressed_sixteen_bit_channels_stored_one_by_one_are_exact(order):
    pixels = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    sample = sample_of(tiff_of(pixels, order, planar=True, pack=zlib.compress))
    assert np.array_equal(sample.frames[0].data, pixels)
    assert sample.notes == ()


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32"]
)
def test_a_gray_tiff_keeps_its_type_and_values(dtype):
    bits = RNG.integers(0, 2**32, (5, 7), dtype=np.uint32)
    pixels = (bits / 3).astype(dtype) if dtype == "float32" else bits.astype(dtype)
    found = values_of(tiff_of(pixels))
    assert found.dtype == dtype
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_tiff_whose_zero_is_white_is_turned_round(dtype):
    pixels = RNG.integers(0, np.iinfo(dtype).max, (5, 7), dtype=dtype)
    assert np.array_equal(values_of(tiff_of(pixels, t262=0)), np.iinfo(dtype).max - pixels)


def test_inks_and_multiplied_colours_of_sixteen_bits_keep_them():
    inks = RNG.integers(0, 65536, (5, 7, 4), dtype=np.uint16)
    paper = 65535 - inks[:, :, 3:].astype(object)
    expected = paper - (inks[:, :, :3] * paper * 2 + 65535) // (2 * 65535)
    assert np.array_equal(values_of(tiff_of(inks, t262=5)), expected.astype(np.uint16))
    alpha = inks[:, :, 3:]
    multiplied = np.concatenate([np.minimum(inks[:, :, :3], alpha), alpha], axis=2)
    white = values_of(tiff_of(multiplied, t338=1))
    assert np.array_equal(white, multiplied[:, :, :3] + (65535 - alpha))


@pytest.mark.parametrize("bands", [2, 4, 5, 9])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_channels_that_are_no_transparency_are_maps_like_others(bands, dtype):
    pixels = RNG.integers(0, 100, (5, 7, bands)).astype(dtype)
    frame = frame_of(tiff_of(pixels, t338=0, t262=1))
    assert np.array_equal(frame.data, pixels)
    assert frame.labels == tuple(map(str, range(bands)))
    if bands > 3:
        colour = frame_of(tiff_of(pixels, t338=0, t262=2))
        assert np.array_equal(colour.data, pixels)
        assert colour.labels == ("R", "G", "B", *map(str, range(3, bands)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint64", "uint32"])
def test_colour_of_every_type_is_read_as_it_is(dtype):
    pixels = RNG.integers(0, 1000, (5, 7, 3)).astype(dtype)
    for order in "<>":
        frame = frame_of(tiff_of(pixels, order))
        assert frame.labels == ("R", "G", "B")
        assert frame.data.dtype == dtype
        assert np.array_equal(frame.data, pixels)


# PNM


def test_a_pgm_gives_the_values_in_the_file_whatever_its_maxval():
    assert values_of(b"P5\n2 1\n1023\n" + struct.pack(">2H", 1023, 5)).tolist() == [[1023, 5]]
    assert values_of(b"P5 2 1 100\n" + bytes([100, 5])).tolist() == [[100, 5]]
    assert values_of(b"P2 2 1 1023\n1023 5").tolist() == [[1023, 5]]
    assert values_of(b"P5\n2 1\n1023\n" + bytes(4)).dtype == np.uint16
    assert values_of(b"P5\n2 1\n255\n" + bytes(2)).dtype == np.uint8


@given(
    st.sampled_from([1, 2, 3, 4, 5, 6]),
    st.integers(1, 65535),
    st.integers(1, 9),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_a_pnm_of_any_kind_gives_what_was_written(kind, maxval, rows, cols, random):
    channels = 3 if kind in (3, 6) else 1
    maxval = 1 if kind in (1, 4) else maxval
    shape = (rows, cols, channels)
    pixels = np.array([random.randint(0, maxval) for _ in range(rows * cols * channels)])
    pixels = pixels.reshape(shape)
    head = f"P{kind}\n# a comment 7 7\n{cols} {rows}"
    head += "\n" if kind in (1, 4) else f"# another\n\t{maxval}\n"
    if kind in (1, 2, 3):
        body = " ".join(map(str, ((1 - pixels) if kind == 1 else pixels).ravel())).encode()
    elif kind == 4:
        body = np.packbits(1 - pixels[:, :, 0], axis=1).tobytes()
    else:
        body = pixels.astype(">u2" if maxval > 255 else "u1").tobytes()
    assert np.array_equal(frame_of(head.encode() + body).data, pixels)


def test_the_digits_of_a_plain_pbm_need_no_spaces_and_one_is_black():
    assert values_of(b"P1\n3 2\n010\n1 1 1").tolist() == [[1, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    "data",
    [
        b"P5\n",
        b"P5\n2 2\n",
        b"P5\n2 2\n0\n0000",
        b"P5\n2 2\n70000\n" + bytes(8),
        b"P5\n0 2\n255\n",
        b"P5\n-1 2\n255\n",
        b"P5\n2 2\n255",
        b"P5\n2 2\n100\n\xff\xff\xff\xff",
        b"P2\n2 1\n10\n5 11",
        b"P2\n2 1\n10\n5 x",
        b"P2\n2 1\n10\n5 -1",
        b"P2\n2 1\n10\n5 99999999999999999999",
        b"P1\n2 1\n12",
        b"P6\n999999999 999999999\n255\n",
        b"P2\n1 1 " + b"9" * 5000 + b"\n1",
    ],
)
def test_a_broken_pnm_is_refused(data):
    with pytest.raises(ReadError):
        sample_of(data)


def test_a_pnm_with_a_second_picture_says_so():
    one = b"P5 1 1 255\n\x07"
    assert sample_of(one * 2).notes == ("has several pictures, of which the first is read",)
    assert sample_of(one + b"\n").notes == ()


# Unit


def test_unit_divides_by_the_range_of_the_type():
    image = Image.fromarray(BITS * np.uint8(255)).convert("1")
    assert np.array_equal(values_of(encoded(image, "PNG"), unit=True), BITS)
    for data, stored, top in [
        (EXACT["PNG"], RGB, 255),
        (encoded(DEEP, "PNG"), DEEP, 65535),
        (tiff_of(DEEP.astype(np.int32)), DEEP, 2**31 - 1),
        (b"P5 2 1 1023\n" + struct.pack(">2H", 1023, 5), np.array([[1023, 5]]), 1023),
        (saved_array(DEEP), DEEP, 65535),
        (saved_array(DEEP.astype(np.uint64)), DEEP, 2**64 - 1),
    ]:
        frame = frame_of(data, unit=True)
        assert frame.data.dtype == np.float32
        assert np.allclose(np.squeeze(frame.data), stored / top, rtol=1e-6, atol=0)
        assert frame.history == (Step.of("read", unit=True),)


def test_unit_leaves_floats_alone():
    pixels = np.linspace(-3, 900, 12, dtype=np.float32).reshape(3, 4)
    for data in (tiff_of(pixels), saved_array(pixels)):
        assert np.array_equal(values_of(data, unit=True), pixels)
