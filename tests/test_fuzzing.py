"""Damaged files give a result or an error of featcli's, by the targets of tools/fuzz.py."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import featcli

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("fuzz", ROOT / "tools" / "fuzz.py")
fuzz = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fuzz)


def seeds() -> dict[str, list[bytes]]:
    """Small sound files for each target."""
    from PIL import Image

    from featcli.frame import Frame, Sample
    from featcli.io.stream import TarWriter

    pixels, plain, packed, tar = (
        np.arange(96, dtype=np.uint8).reshape(4, 8, 3),
        *(io.BytesIO() for _ in range(3)),
    )
    pictures = []
    for format in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"):
        with io.BytesIO() as one:
            Image.fromarray(pixels).save(one, format)
            pictures.append(one.getvalue())
    np.save(plain, pixels)
    np.savez_compressed(packed, a=pixels, b=pixels[0])
    writer, frame = TarWriter(tar), Frame(pixels)
    writer.write(Sample(frame.source, (frame,)))
    writer.close()
    return {
        "image": pictures,
        "array": [plain.getvalue()],
        "archive": [packed.getvalue()],
        "stream": [tar.getvalue()],
        "kernel": [b"values = [[1, 2], [3, 4]]\ntitle = 'a'", b'{"values": [[1]]}', b"1,2\n3,4"],
        "model": [_small_model()],
    }


def _small_model() -> bytes:
    """A model without its weights, so that every damage is tried on what is said of them."""
    whole = io.BytesIO()
    path = Path(featcli.__file__).parent / "data" / "models" / "zero-one.npz"
    with zipfile.ZipFile(path) as found, zipfile.ZipFile(whole, "w") as small:
        for entry in found.infolist():
            small.writestr(entry.filename, found.read(entry)[:3000])
    return whole.getvalue()


SEEDS = seeds()


@pytest.mark.parametrize("target", sorted(fuzz.TARGETS))
@given(draw=st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_files_raise_nothing_but_errors_of_featcli(target, draw):
    data = bytearray(draw.draw(st.sampled_from(SEEDS[target])))
    for _ in range(draw.draw(st.integers(1, 5))):
        place = draw.draw(st.integers(0, len(data) - 1))
        piece = draw.draw(st.binary(max_size=6) | st.sampled_from([b"\0" * 4, b"\xff" * 4]))
        data[place : place + draw.draw(st.integers(0, 6))] = piece
        data = data or bytearray(1)
    fuzz.attempt(target, bytes(data))
