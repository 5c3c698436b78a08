"""Palettes, transparency, orientation and frames become upright gray or RGB pictures."""

from __future__ import annotations

import io
import struct

import numpy as np
import PIL
import pytest
from pictures import (
    DEEP,
    EXACT,
    FRAMES,
    RGB,
    RGBA,
    RNG,
    animated,
    encoded,
    frame_of,
    png_chunks,
    png_of,
    sample_of,
    tiff_of,
    values_of,
)
from PIL import Image

from featcli.errors import ReadError, UsageError
from featcli.frame import Step
from featcli.io.colour import background_colour

# Palettes and other colours


def palette_image():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return image


@pytest.mark.parametrize("format", ["PNG", "GIF", "TIFF", "BMP"])
def test_a_palette_becomes_its_colours(format):
    red, green, blue = [255, 0, 0], [0, 255, 0], [0, 0, 255]
    sample = sample_of(encoded(palette_image(), format))
    assert sample.frames[0].data.tolist() == [[red, green], [blue, green]]
    assert sample.notes == ()


def test_the_transparency_of_a_palette_is_laid_over_the_background_or_kept():
    data = encoded(palette_image(), "PNG", transparency=b"\xff\x00\x80")
    white = sample_of(data)
    assert white.frames[0].data.tolist() == [
        [[255, 0, 0], [255, 255, 255]],
        [[127, 127, 255], [255, 255, 255]],
    ]
    assert white.notes == ("its transparency is blended with white (see --background)",)
    kept = frame_of(data, background="keep")
    assert kept.labels == ("R", "G", "B", "A")
    assert kept.data[:, :, 3].tolist() == [[255, 0], [128, 0]]
    gif = frame_of(encoded(palette_image(), "GIF", transparency=1), background="keep")
    assert gif.data[:, :, 3].tolist() == [[255, 0], [255, 0]]


def test_cmyk_and_ycbcr_become_rgb():
    inks = Image.new("CMYK", (2, 2), (0, 255, 255, 0))
    for format in ("TIFF", "JPEG"):
        sample = sample_of(encoded(inks, format))
        assert sample.frames[0].data[0, 0].tolist() == [255, 0, 0]
        assert sample.notes == ("its CMYK colours became RGB",)
    luma = Image.new("YCbCr", (2, 2), (100, 128, 128))
    if int(PIL.__version__.split(".")[0]) >= 13:  # before, Pillow takes it for RGB: not read
        assert frame_of(encoded(luma, "TIFF")).data[0, 0].tolist() == [100, 100, 100]
    assert frame_of(encoded(luma, "JPEG")).data[0, 0].tolist() == [100, 100, 100]


# Transparency


def laid_over(pixels, paper):
    """The definition, in exact arithmetic, rounded to nearest."""
    colour, alpha = pixels[..., :-1].astype(object), pixels[..., -1:].astype(object)
    top = int(np.iinfo(pixels.dtype).max)
    return ((colour * alpha + np.array(paper, object) * (top - alpha)) * 2 + top) // (2 * top)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("name", "paper"), [("white", (255, 255, 255)), ("#102030", (16, 32, 48)), ("red", (255, 0, 0))]
)
def test_rgba_is_laid_over_the_background(format, name, paper):
    choices = {"lossless": True, "exact": True} if format == "WEBP" else {}
    sample = sample_of(encoded(RGBA, format, **choices), background=name)
    assert np.array_equal(sample.frames[0].data, laid_over(RGBA, paper).astype(np.uint8))
    assert sample.notes == (f"its transparency is blended with {name} (see --background)",)


def test_rgba_keeps_its_channel_if_asked_to():
    frame = frame_of(encoded(RGBA, "PNG"), background="keep")
    assert frame.labels == ("R", "G", "B", "A")
    assert np.array_equal(frame.data, RGBA)
    assert frame.history == (Step.of("read", background="keep"),)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_gray_and_alpha_stay_gray_over_gray_and_become_colour_over_colour(dtype):
    pixels = RNG.integers(0, np.iinfo(dtype).max, (4, 5, 2), dtype=dtype)
    data = png_of(pixels, 4)
    top = np.iinfo(dtype).max
    white = frame_of(data)
    assert white.labels == ("gray",)
    assert np.array_equal(white.data, laid_over(pixels, (top,)).astype(dtype))
    red = frame_of(data, background="red")
    assert red.labels == ("R", "G", "B")
    assert np.array_equal(red.data, laid_over(pixels, (top, 0, 0)).astype(dtype))


def test_sixteen_bit_rgba_is_laid_over_the_background_exactly():
    pixels = RNG.integers(0, 65536, (4, 5, 4), dtype=np.uint16)
    found = values_of(png_of(pixels, 6), background="#ff8000")
    paper = (65535, 128 * 65535 // 255, 0)
    assert np.array_equal(found, laid_over(pixels, paper).astype(np.uint16))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_transparent_gray_of_few_bits_is_transparent(depth):
    raw = b"\0" + bytes([0b11000000 if depth < 4 else 0b11110000])
    key = (1 << depth) - 1
    data = png_chunks(depth, 0, (1, 2), raw, (b"tRNS", struct.pack(">H", key)))
    alpha = frame_of(data, background="keep").data[0, :, 1]
    ones = 2 if depth == 1 else 1  # two pixels of one bit, one of more
    assert alpha.tolist() == [0, 0] if ones == 2 else alpha[0] == 0 and alpha[1] > 0


def test_the_transparent_colour_of_every_depth_is_transparent_alone():
    gray = np.array([[7, 8]], np.uint8)
    key = (b"tRNS", struct.pack(">H", 7))
    assert frame_of(png_of(gray, 0, key), background="keep").data[0, :, 1].tolist() == [0, 255]
    deep = np.array([[0x1234, 0x1233]], np.uint16)
    key = (b"tRNS", struct.pack(">H", 0x1234))
    assert frame_of(png_of(deep, 0, key), background="keep").data[0, :, 1].tolist() == [0, 65535]
    key = (b"tRNS", struct.pack(">3H", 7, 8, 9))
    colour = np.array([[[7, 8, 9], [7, 8, 8]]], np.uint8)
    assert frame_of(png_of(colour, 2, key), background="keep").data[0, :, 3].tolist() == [0, 255]
    key = (b"tRNS", struct.pack(">3H", 0x1234, 0x1200, 0x0034))
    deep = np.array([[[0x1234, 0x1200, 0x0034], [0x1234, 0x1201, 0x0034]]], np.uint16)
    kept = frame_of(png_of(deep, 2, key), background="keep").data
    assert np.array_equal(kept[:, :, :3], deep)
    assert kept[0, :, 3].tolist() == [0, 65535]


def test_what_is_opaque_throughout_gets_no_note():
    opaque = RGBA.copy()
    opaque[:, :, 3] = 255
    sample = sample_of(encoded(opaque, "PNG"))
    assert sample.notes == ()
    assert np.array_equal(sample.frames[0].data, opaque[:, :, :3])


@pytest.mark.parametrize("name", ["nocolour", "", "#12345", "rgb(300"])
def test_a_background_that_is_no_colour_is_refused(name):
    with pytest.raises(UsageError, match="give a name, #rrggbb or keep"):
        background_colour(name)


# Orientation


def seen_turned(pixels, orientation):
    """What a camera stores of an upright picture (EXIF 2.32, tag 0x0112).

    From 5 on its rows are the columns of the scene. The first row is at the bottom of the scene
    for 3 and 4, at its right for 6 and 7; the first column at its right for 2 and 3, at its
    bottom for 7 and 8.
    """
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    flip_rows = orientation in (3, 4, 6, 7)
    flip_cols = orientation in (2, 3, 7, 8)
    pixels = pixels[::-1] if flip_rows else pixels
    return np.ascontiguousarray(pixels[:, ::-1] if flip_cols else pixels)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "TIFF LZW", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_eight_orientations_of_a_picture_give_one_array(format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    choices = {"WEBP": {"lossless": True}, "TIFF LZW": {"compression": "tiff_lzw"}}.get(format, {})
    stored = seen_turned(RGB, orientation)
    data = encoded(stored, format.split()[0], exif=exif, **choices)
    assert np.array_equal(values_of(data), RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_eight_orientations_of_a_jpeg_give_one_array(orientation):
    blocks = np.kron(
        np.array([[0, 60, 120], [180, 220, 255]], np.uint8), np.ones((16, 16), np.uint8)
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(seen_turned(blocks, orientation), "JPEG", exif=exif, quality=100)
    assert np.array_equal(values_of(data), blocks)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_changes_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(values_of(encoded(RGB, "PNG", exif=exif)), RGB)


def test_sixteen_bit_colour_stands_upright_too():
    pixels = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    data = tiff_of(seen_turned(pixels, 6), t274=6)
    assert np.array_equal(values_of(data), pixels)


# Several frames


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "GIF"])
def test_of_several_frames_the_first_is_read_with_a_note_or_all_if_asked(format):
    data = animated(format)
    first = sample_of(data)
    assert len(first.frames) == 1
    assert first.notes == ("has several frames, of which the first is read (see --frames all)",)
    every = sample_of(data, frames="all")
    assert [frame.part for frame in every.frames] == ["0", "1", "2"]
    assert every.notes == ()
    assert np.array_equal(every.frames[0].data, first.frames[0].data)
    if format != "GIF":
        assert all(np.array_equal(a.data, b) for a, b in zip(every.frames, FRAMES, strict=True))


def test_frames_of_a_gif_are_what_pillow_shows():
    data = animated("GIF")
    for number, frame in enumerate(sample_of(data, frames="all").frames):
        with Image.open(io.BytesIO(data)) as image:
            image.seek(number)
            assert np.array_equal(frame.data, np.asarray(image.convert("RGB")))


def test_all_of_one_frame_is_that_frame_without_a_part():
    assert frame_of(EXACT["PNG"], frames="all").part == ""


def two_pages(first: bytes, second: bytes) -> bytes:
    """Chain two TIFFs of `tiff_of`, of one shape: the second's places move by the first's size."""
    at = struct.unpack("<I", first[4:8])[0]
    count = struct.unpack("<H", first[at : at + 2])[0]
    link = at + 2 + 12 * count
    moved = bytearray(second)
    for entry in range(at + 2, link, 12):
        tag, _, length, value = struct.unpack("<HHII", moved[entry : entry + 12])
        if length > 1 or tag == 273:
            moved[entry + 8 : entry + 12] = struct.pack("<I", value + len(first))
    return first[:link] + struct.pack("<I", at + len(first)) + first[link + 4 :] + moved


def test_pages_of_sixteen_bits_keep_their_values():
    pages = [Image.fromarray(DEEP), Image.fromarray(65535 - DEEP)]
    gray = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert np.array_equal(sample_of(gray, frames="all").frames[1].data[:, :, 0], 65535 - DEEP)
    colour = [RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16) for _ in range(2)]
    found = sample_of(two_pages(*map(tiff_of, colour)), frames="all")
    assert found.notes == ()
    assert all(np.array_equal(a.data, b) for a, b in zip(found.frames, colour, strict=True))


def test_the_bound_on_pixels_is_for_all_frames_together():
    data = animated("GIF")
    assert sample_of(data, max_pixels=RGB.shape[0] * RGB.shape[1])
    with pytest.raises(ReadError, match="more than --max-pixels"):
        sample_of(data, max_pixels=RGB.shape[0] * RGB.shape[1] * 2, frames="all")
