from __future__ import annotations

import io
import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from featcli.view.picture import draw
from featcli.view.png import read_info, read_texts, save_png
from featcli.view.recovery import recover

MAP = draw(np.linspace(-1, 1, 30).reshape(5, 6))


def saved(picture, text=None) -> io.BytesIO:
    file = io.BytesIO()
    save_png(picture, file, text)
    return io.BytesIO(file.getvalue())


def with_chunk(name: bytes, body: bytes, length: int | None = None) -> io.BytesIO:
    size = (len(body) if length is None else length).to_bytes(4, "big")
    check = zlib.crc32(name + body).to_bytes(4, "big")
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + size + name + body + check)


@pytest.mark.parametrize("shape", [(10,), (3, 4), (3, 4, 3), (3, 4, 5)])
def test_any_png_reader_sees_the_pixels_and_the_values_come_back(shape):
    data = np.random.default_rng(0).normal(size=shape)
    drawn = draw(data)
    file = saved(drawn)
    pixels = np.asarray(Image.open(file))
    assert np.array_equal(pixels, drawn.pixels)
    file.seek(0)
    info = read_info(file)
    step = (info["hi"] - info["lo"]) / 255
    assert np.abs(recover(pixels, info) - data).max() <= step / 2 + 1e-12


def test_the_record_comes_back_as_it_was():
    assert read_info(saved(MAP)) == MAP.info


def test_equal_pictures_give_equal_bytes():
    text = {"history": "convolve vertical | relu"}
    assert saved(MAP, text).getvalue() == saved(MAP, text).getvalue()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50))
def test_any_text_comes_back_and_pillow_reads_the_same(history):
    file = saved(MAP, {"history": history})
    assert read_texts(file) == {"featcli": json.dumps(MAP.info), "history": history}
    file.seek(0)
    assert Image.open(file).text["history"] == history


@pytest.mark.parametrize("key", ["featcli", "", "x" * 80, " x", "日本", "a\nb"])
def test_a_keyword_that_png_does_not_allow_is_refused_and_nothing_is_written(key):
    file = io.BytesIO()
    with pytest.raises(ValueError, match="invalid keyword"):
        save_png(MAP, file, {key: "text"})
    assert file.getvalue() == b""


def test_a_png_without_record_and_what_is_no_png_have_none():
    plain = io.BytesIO()
    Image.new("L", (3, 3)).save(plain, "PNG")
    assert read_info(io.BytesIO(plain.getvalue())) is None
    assert read_info(io.BytesIO(b"GIF89a")) is None
    assert read_info(io.BytesIO(b"")) is None


def test_a_file_cut_anywhere_gives_its_record_or_none_or_an_error():
    whole = saved(MAP).getvalue()
    outcomes = set()
    for stop in range(0, len(whole), 7):
        try:
            outcomes.add("record" if read_info(io.BytesIO(whole[:stop])) == MAP.info else "none")
        except ValueError:
            outcomes.add("error")
    assert outcomes == {"record", "none", "error"}


def test_a_damaged_record_is_an_error():
    whole = bytearray(saved(MAP).getvalue())
    whole[whole.index(b"signed")] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        read_info(io.BytesIO(bytes(whole)))


def test_a_chunk_that_claims_too_much_is_not_read():
    with pytest.raises(ValueError, match="the limit is 16 MiB"):
        read_info(with_chunk(b"iTXt", b"featcli", length=2**31 - 1))


@pytest.mark.parametrize("record", [b"{", b"[1]", b"[" * 100_000])
def test_a_record_that_is_no_json_object_is_an_error(record):
    body = b"featcli\0\0\0\0\0" + record
    with pytest.raises(ValueError, match="JSON"):
        read_info(with_chunk(b"iTXt", body))


def test_other_chunks_are_passed_over():
    assert read_info(with_chunk(b"iTXt", b"no separators")) is None
    assert read_info(with_chunk(b"iTXt", b"featcli\0\1\0\0\0compressed")) is None
    assert read_info(with_chunk(b"tEXt", b"featcli\0{}")) is None
