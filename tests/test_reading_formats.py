"""What docs/formats.md says of every kind of file: each row has its example here."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from pictures import GRAY, RGB, RGBA, animated, encoded, png_chunks, png_of, sample_of, tiff_of
from PIL import Image

from featcli import extras
from featcli.errors import ReadError

DOCS = Path(__file__).resolve().parent.parent / "docs" / "formats.md"
NEED_EXTRA = "pip install 'featcli\\[formats\\]'"


def bmp_of_words(bits, masks, words):
    head = struct.pack("<IiiHHIIiiII", 40, len(words), 1, 1, bits, 3, 0, 0, 0, 0, 0)
    body = struct.pack(f"<{len(words)}{'H' if bits == 16 else 'I'}", *words)
    body += bytes(-len(body) % 4)
    start = 54 + 12
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + struct.pack(
        "<3I", *masks
    ) + body  # fmt: skip


def palette_tiff(table):
    stream = io.BytesIO(tiff_of(np.array([[0, 1, 2, 3]], np.uint8), t262=3))
    data = bytearray(stream.getvalue())
    at = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[at : at + 2])[0]
    place = len(data)
    entry = struct.pack("<HHII", 320, 3, 768, place)
    old = data[at + 2 : at + 2 + 12 * count]
    new = b"".join(
        sorted(
            [old[k : k + 12] for k in range(0, len(old), 12)] + [entry],
            key=lambda e: e[0] | e[1] << 8,
        )
    )
    moved = place + 1536
    data += struct.pack("<768H", *table) + struct.pack("<H", count + 1) + new + bytes(4)
    data[4:8] = struct.pack("<I", moved)
    return bytes(data)


def lab_tiff():
    return encoded(Image.fromarray(np.full((2, 2, 3), (128, 20, 40), np.uint8), "LAB"), "TIFF")


ROWS = {
    "PNG grey of 1 bit": (png_chunks(1, 0, (1, 2), b"\0\x40"), np.uint8, 1, ""),
    "PNG grey of 2 and 4 bits": (png_chunks(4, 0, (1, 2), b"\0\x1f"), np.uint8, 255, ""),
    "PNG of 16 bits, grey or colour": (png_of(RGB.astype(np.uint16) * 257, 2), np.uint16, 0, ""),
    "PNG palette": (
        png_chunks(8, 3, (1, 2), b"\0\0\7", (b"PLTE", b"abc")), np.uint8, 0, "no colour",
    ),
    "PNG transparent colour (tRNS)": (
        png_of(RGB, 2, (b"tRNS", b"".join(b"\xff" + bytes([v]) for v in RGB[0, 0]))),
        np.uint8, 0, "transparency is blended with white",
    ),
    "APNG": (animated("PNG"), np.uint8, 0, "several frames"),
    "GIF": (animated("GIF"), np.uint8, 0, "several frames"),
    "JPEG grey, YCbCr": (encoded(RGB, "JPEG"), np.uint8, 0, ""),
    "JPEG CMYK": (
        encoded(Image.fromarray(RGBA, "CMYK"), "JPEG"), np.uint8, 0, "CMYK colours became RGB",
    ),
    "BMP of 5-6-5 bits": (bmp_of_words(16, (0xF800, 0x7E0, 0x1F), (0xFFFF, 0)), np.uint8, 255, ""),
    "BMP of 10 bits a channel": (
        bmp_of_words(32, (0x3FF00000, 0xFFC00, 0x3FF), (0x3FFFFFFF, 0)), np.uint8, 255, "became 8",
    ),
    "WebP": (encoded(RGB, "WEBP", lossless=True), np.uint8, 0, ""),
    "PNM": (b"P5 2 1 1023\n" + struct.pack(">2H", 1023, 5), np.uint16, 1023, ""),
    "TIFF of integers and floats of 8 to 64 bits": (
        tiff_of(RGB.astype(np.float64)), np.float64, 0, "",
    ),
    "TIFF palette": (palette_tiff([0x1234] * 768), np.uint8, 0x12, "16-bit colours"),
    "TIFF CMYK": (tiff_of(RGBA.astype(np.uint16), t262=5), np.uint16, 0, "CMYK colours became RGB"),
    "TIFF CIELAB": (lab_tiff(), np.uint8, 0, "LAB colours became RGB"),
    "TIFF with associated alpha": (tiff_of(RGBA, t338=1), np.uint8, 0, "blended with white"),
    "TIFF of other channels": (tiff_of(np.repeat(RGB, 2, axis=2), t338=0), np.uint8, 0, ""),
    "a camera's raw file (DNG)": (tiff_of(GRAY, t262=32803), np.uint8, 0, "camera's raw picture"),
}  # fmt: skip
ELSEWHERE = {
    "JPEG of 12 bits",
    "TIFF of complex numbers",
    "TIFF with JPEG 2000, LERC, JPEG XL",
    "HEIF, JPEG XL, JPEG 2000",
    "AVIF",
}


def rows_of_the_docs():
    lines = DOCS.read_text().splitlines()
    return {line.split("|")[1].strip() for line in lines if line.startswith("|")} - {"file", "---"}


def test_every_row_of_the_docs_is_tested_and_no_other():
    assert rows_of_the_docs() == set(ROWS) | ELSEWHERE


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_docs_is_true(name):
    data, dtype, top, note = ROWS[name]
    sample = sample_of(data)
    assert sample.frames[0].data.dtype == dtype
    if top:
        assert sample.frames[0].data.max() == top
    assert note in "; ".join(sample.notes) if note else sample.notes == ()
    if note:
        with pytest.raises(ReadError, match="--strict: "):
            sample_of(data, strict=True)


def test_lab_is_what_littlecms_makes_of_it():
    from PIL import ImageCms

    hues = ((0, 0), (20, 10), (250, 240))
    lab = np.array([[(light, a, b) for light in (40, 128, 200) for a, b in hues]])
    image = Image.fromarray(lab.astype(np.uint8), "LAB")
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    theirs = np.asarray(ImageCms.profileToProfile(image, *profiles, outputMode="RGB")).astype(int)
    ours = sample_of(encoded(image, "TIFF")).frames[0].data
    assert np.abs(ours - theirs).max() <= 3


def kinds_of_the_extra():
    codecs = pytest.importorskip("imagecodecs", reason="the extra formats is not installed")
    heif = pytest.importorskip("pillow_heif", reason="the extra formats is not installed")
    tifffile = pytest.importorskip("tifffile", reason="the extra formats is not installed")
    stream, packed = io.BytesIO(), io.BytesIO()
    heif.from_pillow(Image.fromarray(RGB)).save(stream, quality=-1)
    tifffile.imwrite(packed, RGB, compression="jpeg2000", photometric="rgb")
    return {
        "HEIF": (stream.getvalue(), None),
        "JPEG XL": (codecs.jpegxl_encode(RGB, lossless=True), RGB),
        "JPEG 2000": (codecs.jpeg2k_encode(RGB, level=0, reversible=True), RGB),
        "JPEG 2000 uint8 RGB TIFF": (packed.getvalue(), RGB),
        "12-bit JPEG": (codecs.jpeg_encode(GRAY.astype(np.uint16) * 16, bitspersample=12), None),
    }


def test_the_extra_reads_what_the_core_does_not_and_without_it_the_kind_is_named(monkeypatch):
    kinds = kinds_of_the_extra()
    for data, pixels in kinds.values():
        found = sample_of(data).frames[0].data
        assert pixels is None or np.array_equal(found, pixels)
    for module in ("imagecodecs", "pillow_heif", "tifffile"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    for kind, (data, _) in kinds.items():
        with pytest.raises(ReadError, match=f"{kind} cannot be read: {NEED_EXTRA}"):
            sample_of(data)


def test_complex_numbers_are_refused_as_what_they_are():
    with pytest.raises(ReadError, match="complex64 grey TIFF is not supported"):
        sample_of(tiff_of(np.zeros((2, 2)), t339=6))


# Damage


@pytest.fixture(params=[True, False], ids=["with fast", "without"])
def fast(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(extras, "fast", lambda _: None)
    return request.param


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_jpeg_that_is_cut_and_closed_is_noted(fast, samples, progressive, part):
    with Image.open(samples / "cat.jpg") as photo:
        whole = encoded(photo.convert("RGB"), "JPEG", progressive=progressive)
    assert sample_of(whole, strict=True).notes == ()
    cut = whole[: int(len(whole) * part)] + b"\xff\xd9"
    with pytest.raises(ReadError, match="--strict"):
        sample_of(cut, strict=True)
    assert sample_of(cut).notes


def test_a_jpeg_that_lacks_some_of_its_middle_is_noted(fast, samples):
    whole = (samples / "cat.jpg").read_bytes()
    middle = len(whole) // 2
    assert sample_of(whole).notes == ()
    assert sample_of(whole[:middle] + whole[middle + 500 :]).notes


def test_a_frame_of_a_gif_is_disposed_of_as_it_says():
    def frame(value, dispose, place):
        control = b"!\xf9\4" + bytes([dispose << 2]) + b"\n\0\0\0"
        code = {1: b"\x4c\1", 2: b"\x54\1"}[value]
        return control + b"," + struct.pack("<HHHHB", place, 0, 1, 1, 0) + b"\2\2" + code + b"\0"

    head = (
        b"GIF89a"
        + struct.pack("<HHBBB", 2, 1, 0x81, 0, 0)
        + bytes([0, 0, 0, 255, 0, 0, 0, 255, 0])
        + bytes(3)
    )
    red, green, clear = [255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 0, 0]
    for dispose, left in ((1, red), (2, clear), (3, clear)):
        data = head + frame(1, dispose, 0) + frame(2, 1, 1) + b";"
        frames = sample_of(data, frames="all", background="keep").frames
        assert frames[0].data.tolist() == [[red, clear]]
        assert frames[1].data.tolist() == [[left, green]]


def test_icc_srgb_converts_by_the_profile_of_the_file_and_is_part_of_the_history():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for format in ("PNG", "TIFF", "JPEG"):
        data = encoded(RGB, format, icc_profile=profile)
        stored, converted = sample_of(data).frames[0], sample_of(data, icc="srgb").frames[0]
        assert np.abs(stored.data.astype(int) - converted.data).max() <= 1
        assert dict(converted.history[0].params) == {"icc": "srgb"}
    broken = sample_of(encoded(RGB, "PNG", icc_profile=b"no profile"), icc="srgb")
    assert np.array_equal(broken.frames[0].data, RGB)
    assert broken.notes == ("its colour profile is broken and not applied",)


def test_a_picture_that_calls_itself_reduced_is_read_with_a_note():
    sample = sample_of(tiff_of(RGB, t254=1))
    assert np.array_equal(sample.frames[0].data, RGB)
    assert sample.notes == ("the only picture in it is marked as a reduced version",)


def test_a_thumbnail_is_not_read_for_the_picture_that_hangs_below_it():
    large = tiff_of(RGB)
    whole = struct.unpack("<I", large[4:8])[0]
    thumbnail = {254: 1, 256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 279: 1, 330: whole}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in thumbnail.items()]
    first = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    data = large[:4] + struct.pack("<I", len(large)) + large[8:] + first
    for flag in (0, 1):  # whether it says that it is one, or is smaller only
        changed = data.replace(entries[0], struct.pack("<HHII", 254, 4, 1, flag))
        assert np.array_equal(sample_of(changed).frames[0].data, RGB)
