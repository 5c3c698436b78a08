"""The compiled kernel's PNG rows and levels are those of NumPy and Pillow."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import featcli
from featcli.engine import library, pixels
from featcli.errors import ReadError
from featcli.view import mapping

pytestmark = pytest.mark.skipif(library.load() is None, reason="there is no compiled kernel")


def rows_of(seed, rows, width, is_smooth):
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 256, (rows, width))
    return (np.cumsum(found % 5 - 2, axis=seed % 2) if is_smooth else found).astype(np.uint8)


picture = {
    "seed": st.integers(0, 999),
    "rows": st.integers(1, 50),
    "cols": st.integers(1, 70),
    "step": st.sampled_from([1, 2, 3, 4, 6, 8]),
    "is_smooth": st.booleans(),
}


def without_kernel(work):
    """Do it as where there is no compiled kernel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "load", lambda: None)
        return work()


@settings(max_examples=150, deadline=None)
@given(**picture)
def test_rows_are_filtered_as_by_numpy(seed, rows, cols, step, is_smooth):
    flat = rows_of(seed, rows, cols * step, is_smooth)
    top = seed % rows
    found = pixels.filtered(flat, top, rows, step)
    wanted = without_kernel(lambda: pixels.filtered(flat, top, rows, step))
    np.testing.assert_array_equal(found, wanted)


@settings(max_examples=150, deadline=None)
@given(**picture)
def test_every_filter_is_undone(seed, rows, cols, step, is_smooth):
    flat = rows_of(seed, rows, cols * step, is_smooth)
    lines = np.empty((rows, flat.shape[1] + 1), np.uint8)
    for row in range(rows):
        lines[row, 0] = kind = (seed + row) % 5
        pixels.residual(flat, row, row + 1, step, kind, lines[row : row + 1, 1:])
    above, out = np.zeros(flat.shape[1], np.uint8), np.empty_like(flat)
    assert pixels.unfilter(lines, above, step, out)
    np.testing.assert_array_equal(out, flat)
    lines[-1, 0] = 5
    assert not pixels.unfilter(lines, above, step, out)


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.floats(width=32), min_size=1, max_size=80),
    view=st.sampled_from(["auto", "minmax", "abs", "signed", "clip"]),
    scale=st.sampled_from([1e-40, 1, 1e30]),
)
def test_levels_and_losses_are_those_of_numpy(values, view, scale):
    with np.errstate(over="ignore", invalid="ignore"):
        x = np.array(values, np.float32) * np.float32(scale)
    line = mapping.choose(x, view)
    for work in (mapping.to_pixels, mapping.losses):
        wanted = without_kernel(lambda work=work: work(x, line))
        np.testing.assert_array_equal(work(x, line), wanted)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 900), (700, 500)])
def test_a_png_is_unpacked_as_by_pillow(mode, size, tmp_path):
    rng = np.random.default_rng(5)
    depth = np.uint16 if mode == "I;16" else np.uint8
    channels = len(mode) if mode != "I;16" else 1
    data = rng.integers(0, np.iinfo(depth).max, (*size, channels)).astype(depth)
    file = io.BytesIO()
    Image.fromarray(data[:, :, 0] if channels == 1 else data).save(file, "PNG")
    (tmp_path / "a.png").write_bytes(file.getvalue())

    def read():
        return featcli.read(tmp_path / "a.png", background="keep").data

    found = read()
    np.testing.assert_array_equal(found.reshape(data.shape), data)
    np.testing.assert_array_equal(found, without_kernel(read))


def png_of(data, packed):
    """A PNG whose pixels are packed as given."""
    rows, cols = data.shape[:2]
    head = struct.pack(">IIBBBBB", cols, rows, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), *((b"IDAT", one) for one in packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def stored_in_blocks(raw, before):
    """A zlib stream of stored blocks, behind many that hold nothing."""
    yield b"\x78\x01" + b"\0\0\0\xff\xff" * before
    for start in range(0, len(raw), 60_000):
        part = raw[start : start + 60_000]
        is_last = start + 60_000 >= len(raw)
        yield struct.pack("<BHH", is_last, len(part), len(part) ^ 0xFFFF) + part
    yield struct.pack(">I", zlib.adler32(raw))


@pytest.mark.parametrize("shape", [(3, 100_000), (2, 400_000), (700, 1500), (90, 900)])
@pytest.mark.parametrize("kind", ["noise", "poster", "empty blocks"])
def test_rows_of_any_length_are_gathered_from_pieces_of_any_size(shape, kind, tmp_path):
    rng = np.random.default_rng(2)
    data = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    if kind == "poster":
        data[:] = data[:1, :1] // 64 * 64
        data[:: max(1, shape[0] // 5), ::700] = 9
    raw = b"".join(b"\0" + row.tobytes() for row in data)
    packed = stored_in_blocks(raw, 60_000) if kind == "empty blocks" else [zlib.compress(raw, 9)]
    (tmp_path / "a.png").write_bytes(png_of(data, packed))
    np.testing.assert_array_equal(featcli.read(tmp_path / "a.png").data, data)


def test_a_stream_that_ends_within_a_row_is_refused(tmp_path):
    data = np.zeros((5, 200_000, 3), np.uint8)
    packed = [zlib.compress(bytes(4 * 600_001 + 77))]
    (tmp_path / "a.png").write_bytes(png_of(data, packed))
    with pytest.raises(ReadError, match="truncated"):
        featcli.read(tmp_path / "a.png")


@pytest.mark.slow
def test_a_png_of_too_many_chunks_is_refused_soon(tmp_path):
    data = np.zeros((4, 4, 3), np.uint8)
    packed = [b""] * 250_000 + [zlib.compress(bytes(4 * 13))]
    (tmp_path / "a.png").write_bytes(png_of(data, packed))
    with pytest.raises(ReadError, match="chunks"):
        featcli.read(tmp_path / "a.png")
