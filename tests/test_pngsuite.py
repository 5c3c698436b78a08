"""The standard set of valid and broken PNG files, read as their published pixels say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featcli.errors import ReadError
from featcli.io.options import ReadOptions
from featcli.io.reading import read_file

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "pngsuite"
FILES = sorted((FOLDER / "png").glob("*.png"))
VALID = [path for path in FILES if not path.name.startswith("x")]
BROKEN = [path for path in FILES if path.name.startswith("x")]

pytestmark = pytest.mark.skipif(not FILES, reason=f"PngSuite is not in {FOLDER}")


@pytest.fixture(scope="module")
def references():
    with np.load(FOLDER / "references.npz") as archive:
        return dict(archive)


def as_rgba(frame):
    """Spread what was read to the red, green, blue and opaqueness of the reference."""
    data = frame.data
    top = 65535 if data.dtype == np.uint16 else 255
    if "A" not in frame.labels:
        opaque = np.full_like(data[:, :, :1], top)
        data = np.concatenate([data, opaque], axis=2)
    colour, alpha = data[:, :, :-1], data[:, :, -1:]
    return np.concatenate([np.broadcast_to(colour, (*colour.shape[:2], 3)), alpha], axis=2)


def is_one_bit(path):
    return path.read_bytes()[24:26] == b"\1\0"  # depth 1, gray: bytes 24 and 25 of every PNG


def test_the_set_is_whole(references):
    assert len(VALID) > 150
    assert len(BROKEN) >= 14
    assert {path.stem for path in VALID} == set(references)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_file_gives_exactly_its_published_pixels(path, references):
    sample = read_file(path, path.stem, ReadOptions(background="keep"))
    (frame,) = sample.frames
    if is_one_bit(path):
        assert frame.data.max() <= 1
        frame = frame.replace(data=frame.data * np.uint8(255))
    expected = references[path.stem]
    found = as_rgba(frame)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)
    assert not any("became 8" in note for note in sample.notes)


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_refused(path):
    with pytest.raises(ReadError, match=path.name):
        read_file(path, path.stem, ReadOptions())
