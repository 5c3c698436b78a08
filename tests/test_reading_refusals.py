"""What cannot be read is refused, whole or cut, by name, and nothing else happens."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import (
    EXACT,
    WHOLE,
    animated,
    frame_of,
    png_chunks,
    sample_of,
)

import featcli
from featcli.errors import FeatError, ReadError
from featcli.io.formats import SUFFIXES, sniff
from featcli.io.options import ReadOptions
from featcli.io.reading import read_file

# Refusals


def test_pixels_are_bounded_before_anything_is_decoded():
    raw = bytes(1)  # far too few pixels: decoding would fail otherwise
    data = png_chunks(8, 2, (100_000, 100_000), raw)
    with pytest.raises(ReadError, match="more than --max-pixels 250000000"):
        sample_of(data)
    for name in ("PNG", "TIFF", "BMP", "WebP", "PPM"):
        with pytest.raises(ReadError, match="23x31 is 713 pixels, more than --max-pixels 712"):
            sample_of(EXACT[name], max_pixels=712)
        assert sample_of(EXACT[name], max_pixels=713)


@pytest.mark.parametrize(
    "data",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\xc5\xd0\xd3\xc6" + bytes(100),
        b"%PDF-1.7\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"hello\n",
        bytes(1000),
        b"\0\0\1\0" + bytes(60),
        b"P7\nWIDTH 1\n",
    ],
)
def test_eps_and_anything_unknown_is_refused_with_what_is_read(data):
    with pytest.raises(ReadError, match=r"not an image or array that featcli reads \(PNG, JPEG"):
        sample_of(data)


def test_a_missing_an_empty_file_and_a_folder_are_refused_by_name(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(ReadError, match=r"empty\.png: the file is empty"):
        featcli.read(tmp_path / "empty.png")
    with pytest.raises(ReadError, match=r"gone\.png: No such file"):
        featcli.read(tmp_path / "gone.png")
    with pytest.raises(ReadError, match="Is a directory"):
        featcli.read(tmp_path)


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_cut_anywhere_is_refused_or_lacks_nothing_of_the_picture(name, capfd):
    data = WHOLE[name]
    whole = frame_of(data).data
    accepted = []
    for stop in sorted({*range(0, len(data), 11), *range(len(data) - 60, len(data))}):
        try:
            found = frame_of(data[: max(stop, 0)]).data
        except ReadError:
            continue
        accepted.append(stop)
        assert np.array_equal(found, whole)
    # Only the mark of the end, or the padding of the last row, may be missing.
    assert all(stop >= len(data) - 4 for stop in accepted)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP", "TIFF"])
def test_an_animation_cut_anywhere_never_loses_a_frame_silently(format):
    data = animated(format)
    for stop in [*range(0, len(data), 53), *range(len(data) // 3 - 20, len(data) // 3 + 60)]:
        with contextlib.suppress(ReadError):
            assert len(sample_of(data[:stop], frames="all").frames) == 3


def test_a_plain_pnm_that_lacks_a_number_is_refused():
    text = b"P3\n2 2\n255\n" + b"0 1 20 100 5 60\n" * 2
    for stop in range(len(text) - 3):
        with pytest.raises(ReadError):
            sample_of(text[:stop])


def test_a_damaged_png_is_refused_wherever_the_damage_is():
    data = EXACT["PNG"]
    for place in range(8, len(data), 97):
        broken = bytearray(data)
        broken[place] ^= 0x10
        with pytest.raises(ReadError):
            sample_of(bytes(broken))


BEGINNINGS = [b"", *(data[:n] for data in WHOLE.values() for n in (8, 40))]


@given(st.sampled_from(BEGINNINGS), st.binary(max_size=600))
@settings(max_examples=300, deadline=None)
def test_random_bytes_raise_nothing_but_featcli_errors(tmp_path_factory, beginning, rest):
    path = tmp_path_factory.getbasetemp() / "random"
    path.write_bytes(beginning + rest)
    with contextlib.suppress(FeatError):
        read_file(path, "random", ReadOptions(max_pixels=100_000))


@given(st.sampled_from(sorted(WHOLE)), st.data())
@settings(max_examples=400, deadline=None)
def test_damaged_files_raise_nothing_but_featcli_errors(name, draw):
    data = bytearray(WHOLE[name])
    for _ in range(draw.draw(st.integers(1, 4))):
        place = draw.draw(st.integers(0, min(len(data) - 1, 200)) | st.integers(0, len(data) - 1))
        data[place] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(FeatError):
        sample_of(
            bytes(data), max_pixels=100_000, frames=draw.draw(st.sampled_from(["first", "all"]))
        )


def test_a_tar_is_recognised_and_no_single_image():
    assert sniff(bytes(257) + b"ustar\0" + bytes(300)) == "tar"
    with pytest.raises(ReadError, match="not an image or array"):
        sample_of(bytes(257) + b"ustar\0" + bytes(300))


def test_every_sample_format_has_its_suffix():
    assert {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".ppm", ".pgm",
            ".pbm", ".npy", ".npz", ".tar"} <= SUFFIXES  # fmt: skip


def rows_of(values) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in values)


GRAY = np.tile(np.arange(1, 6, dtype=np.uint8), (8, 1))


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("data_rows", [0, 1, 7])
def test_a_png_that_promises_more_rows_than_it_holds_is_truncated(data_rows, interlace, tmp_path):
    path = tmp_path / "short.png"
    path.write_bytes(png_chunks(8, 0, (8, 5), rows_of(GRAY[:data_rows]), interlace=interlace))
    with pytest.raises(ReadError, match="truncated PNG"):
        featcli.read(path)


def test_a_png_that_holds_all_its_rows_is_read(tmp_path):
    path = tmp_path / "whole.png"
    path.write_bytes(png_chunks(8, 0, (8, 5), rows_of(GRAY)))
    assert featcli.read(path).data[:, :, 0].tolist() == [[1, 2, 3, 4, 5]] * 8


@given(
    seed=st.integers(0, 99),
    data_rows=st.integers(0, 5),
    form=st.sampled_from([(0, 8), (0, 16), (2, 8), (2, 16), (3, 8), (4, 8), (6, 8), (6, 16)]),
)
@settings(max_examples=80, deadline=None)
def test_missing_rows_are_found_whatever_the_pixels_are(seed, data_rows, form):
    colour, depth = form
    width = 7 * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * depth // 8
    some = np.random.default_rng(seed).choice([0, 1], (data_rows, width)).astype(np.uint8)
    palette = [(b"PLTE", bytes(range(255, 249, -1)))] if colour == 3 else []
    content = png_chunks(depth, colour, (5, 7), rows_of(some), *palette)
    if data_rows == 5:
        assert frame_of(content, background="keep").data.shape[:2] == (5, 7)
        return
    with pytest.raises(ReadError, match="truncated PNG"):
        frame_of(content, background="keep")
