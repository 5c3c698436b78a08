"""featcli writes PNG by itself: every decoder in common use reads the same pixels."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featcli.view import deflate
from featcli.view.picture import Picture
from featcli.view.png import save_png


def with_pillow(path: Path):
    with Image.open(path) as image:
        return np.asarray(image)


def with_opencv(path: Path):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return pixels[:, :, ::-1] if pixels.ndim == 3 else pixels


def by_command(*words: str):
    """Convert to PNM, which is the bare pixels, and read that."""

    def read(path: Path):
        program = shutil.which(words[0])
        if not program:
            pytest.skip(f"{words[0]} is not installed")
        out = path.with_suffix(".pgm" if path.stem == "gray" else ".ppm")
        done = subprocess.run([program, *words[1:], path, out], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return with_pillow(out)

    return read


DECODERS = {
    "Pillow": with_pillow,
    "OpenCV": with_opencv,
    "libvips": by_command("vips", "copy"),
    "ImageMagick": by_command("convert-im6.q16"),
    "GraphicsMagick": by_command("gm", "convert"),
}


@pytest.mark.parametrize("decoder", list(DECODERS))
@pytest.mark.parametrize("shape", [(1, 1, 3), (300, 411), (700, 613, 3)])
def test_every_decoder_reads_the_pixels_that_were_written(decoder, shape, tmp_path):
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.integers(-3, 4, shape), axis=0) + 128
    pixels = np.clip(smooth, 0, 255).astype(np.uint8)
    pixels[: shape[0] // 3] = 7  # a flat part, beside the noisy one
    assert shape[0] < 500 or pixels.size > 2 * deflate._STRIP  # several strips
    path = tmp_path / ("gray.png" if len(shape) == 2 else "colour.png")
    with path.open("wb") as file:
        save_png(Picture(pixels, {"view": "type", "lo": 0.0, "hi": 255.0}), file)
    found = DECODERS[decoder](path)
    np.testing.assert_array_equal(np.squeeze(found), np.squeeze(pixels))
