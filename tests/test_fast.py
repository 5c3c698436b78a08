"""The extra `fast`: with it and without it, every value and every pixel is the same."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
from conftest import Result, run_process
from PIL import Image

from featcli import extras

MAIN = "from featcli.cli.main import main; main()"
WITHOUT = "import sys; sys.modules.update(dict.fromkeys(('zlib_ng', 'simplejpeg'))); "


def installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


needs_fast = pytest.mark.skipif(
    not all(map(installed, extras.FAST)), reason="needs: pip install 'featcli[fast]'"
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo as PNG and as JPEG, large enough for zlib-ng to be asked."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[0:900, 0:1000]
    ramp = ((rows + cols) // 9)[:, :, np.newaxis] + rng.integers(0, 9, (900, 1000, 3))
    image = Image.fromarray(ramp.astype(np.uint8))
    image.save(folder / "one.png")
    image.save(folder / "two.jpg", quality=90)
    return folder


def run(start: str, folder: Path, *arguments: object) -> Result:
    command = [sys.executable, "-c", start + MAIN, *map(str, arguments)]
    result = run_process(command, cwd=folder)
    assert result.returncode == 0, result.stderr
    return result


def convolved(start: str, folder: Path, out: Path) -> dict[str, bytes]:
    run(start, folder, "convolve", "one.png", "two.jpg", "-k", "vertical", "-o", out, "-j", 1)
    return {path.name: path.read_bytes() for path in out.glob("*.n*")} | {
        path.name: np.asarray(Image.open(path)).tobytes() for path in out.glob("*.png")
    }


@needs_fast
def test_values_and_pixels_are_the_same_with_and_without(photos: Path, tmp_path: Path) -> None:
    used = convolved("", photos, tmp_path / "with")
    unused = convolved(WITHOUT, photos, tmp_path / "without")
    assert used == unused
    assert len(used) == 4


@needs_fast
def test_a_picture_of_many_strips_is_compressed_by_zlib_ng(photos: Path) -> None:
    code = (
        "import numpy as np; from featcli.view.deflate import compressed;"
        "x = np.random.default_rng(0).integers(0, 256, (1100, 1000)).astype(np.uint8);"
        "sum(map(len, compressed(x))); import sys; print('zlib_ng' in sys.modules)"
    )
    result = run_process([sys.executable, "-c", code])
    assert result.stdout == "True\n", result.stderr


@pytest.mark.parametrize("start", [pytest.param("", marks=needs_fast), WITHOUT])
def test_versions_say_whether_the_extra_is_used(start: str, tmp_path: Path) -> None:
    found = json.loads(run(start, tmp_path, "info", "--versions", "--json").stdout)
    for package in extras.FAST:
        used = version(package) if start == "" else "not"
        assert used in found[package]
