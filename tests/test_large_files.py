"""Files larger than what may be held: the same results as from a whole run, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import environment
from PIL import Image

from featcli.errors import FeatError
from featcli.io.large import open_large
from featcli.io.options import ReadOptions
from featcli.io.reading import read_file

EDGES = "convolve vertical | relu | pool 2"
PEAK = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], timeout=200)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:301, :257]
    gray = (np.sin(y / 20) * 60 + np.cos(x / 11) * 60 + 128).astype(np.uint8)
    return gray, np.stack([gray, 255 - gray, gray // 2], axis=2)


def equal_to_the_whole(name: str, **options) -> None:
    how = ReadOptions(**options)
    whole, found = read_file(Path(name), "k", how), open_large(Path(name), "k", how)
    (one,), (two,) = whole.frames, found.frames
    assert (two.labels, two.history, two.source) == (one.labels, one.history, one.source)
    assert (two.data.shape, two.data.dtype, found.notes) == (
        *(one.data.shape, one.data.dtype),
        whole.notes,
    )
    tops = range(0, len(one.data), 50)
    # Overlapping, as strips with what they see beyond them are; and once more from the beginning.
    for _ in range(2):
        parts = [two.rows(max(0, top - 3), min(top + 53, len(one.data))) for top in tops]
        for top, part in zip(tops, parts, strict=True):
            assert part.tobytes() == one.data[max(0, top - 3) : top + 53].tobytes()


def refused(name: str, **options) -> str:
    with pytest.raises(FeatError) as caught:
        frame = open_large(Path(name), "k", ReadOptions(**options)).frames[0]
        frame.rows(0, len(frame.data))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("options", [{}, {"unit": True}, {"layout": "chw"}])
@pytest.mark.parametrize("dtype", ["|u1", "<i2", ">u2", "<f4", ">f8"])
def test_an_array_is_read_as_it_is_whole(pictures, dtype, options):
    np.save("a.npy", pictures[1].astype(dtype))
    equal_to_the_whole("a.npy", **options)
    np.save("b.npy", pictures[0].astype(dtype))
    equal_to_the_whole("b.npy", **options)


def test_an_array_keeps_what_its_sidecar_says(pictures, inline):
    Image.fromarray(pictures[0]).save("g.png")
    assert inline("convolve", "g.png", "-k", "vertical", "-o", "e.npy").returncode == 0
    equal_to_the_whole("e.npy")


def test_arrays_that_have_no_rows_are_refused(pictures):
    np.save("f.npy", np.asfortranarray(pictures[0]))
    assert "column by column" in refused("f.npy")
    np.save("v.npy", np.arange(5))
    assert "a vector has no rows" in refused("v.npy")


TIFFS = [
    (kind, packing, layout)
    for kind in ("uint8", "rgb8", "uint16", "rgb16", "float", "rgbfloat")
    for packing in (None, "lzw", "deflate", "packbits", "lzw-2", "deflate-2")
    for layout in ("strips", "tiles", "big", "bigtiles")
]


@pytest.mark.parametrize(("kind", "packing", "layout"), TIFFS)
def test_every_tiff_that_is_accepted_is_read_as_it_is_whole(pictures, kind, packing, layout):
    tifffile, _ = pytest.importorskip("tifffile"), pytest.importorskip("pyvips")
    data = pictures["rgb" in kind]
    data = data.astype(np.float32) / 7 - 3 if "float" in kind else data
    data = data.astype(np.uint16) * 211 if "16" in kind else data
    name, _, predictor = (packing or "").partition("-")
    tifffile.imwrite(
        "a.tif",
        data,
        photometric="rgb" if "rgb" in kind else "minisblack",
        compression=name or None,
        predictor=bool(predictor) or None,
        bigtiff="big" in layout,
        byteorder=">" if "big" in layout else "<",
        **({"tile": (64, 48)} if "tiles" in layout else {"rowsperstrip": 37}),
    )
    equal_to_the_whole("a.tif")
    equal_to_the_whole("a.tif", unit=True)


def test_every_png_and_jpeg_that_is_accepted_is_read_as_it_is_whole(pictures):
    pytest.importorskip("pyvips")
    gray, colour = map(Image.fromarray, pictures)
    gray.save("g.png")
    colour.save("c.png")
    Image.fromarray(pictures[0].astype(np.uint16) * 257).save("g16.png")
    gray.save("g.jpg", quality=85)
    for number, subsampling in enumerate((0, 1, 2)):
        colour.save(f"c{number}.jpg", quality=80 + number, subsampling=subsampling)
    for path in (*Path().glob("*.png"), *Path().glob("*.jpg")):
        equal_to_the_whole(str(path))
        equal_to_the_whole(str(path), unit=True)


def test_what_libvips_would_read_otherwise_is_refused(pictures):
    tifffile, _ = pytest.importorskip("tifffile"), pytest.importorskip("pyvips")
    gray, colour = map(Image.fromarray, pictures)
    gray.convert("P").save("p.png")
    gray.convert("LA").save("la.png")
    gray.convert("1").save("one.png")
    colour.save("key.png", transparency=(1, 2, 3))
    colour.save("prog.jpg", progressive=True)
    colour.convert("CMYK").save("cmyk.jpg")
    exif = Image.Exif()
    exif[274] = 6
    colour.save("turned.jpg", exif=exif)
    colour.save("turned.tif", exif=exif)
    colour.save("turned.png", exif=exif)
    gray.save("g.gif")
    tifffile.imwrite("white.tif", pictures[0], photometric="miniswhite")
    tifffile.imwrite("planar.tif", np.moveaxis(pictures[1], 2, 0), photometric="rgb",
                     planarconfig="separate")  # fmt: skip
    tifffile.imwrite("i4.tif", pictures[0].astype(np.int32), photometric="minisblack")
    reasons = {
        **dict.fromkeys(("p.png", "la.png", "one.png", "key.png"), "only grey or RGB PNGs"),
        **dict.fromkeys(("turned.jpg", "turned.tif", "turned.png"), "EXIF orientation"),
        **dict.fromkeys(("white.tif", "planar.tif", "i4.tif"), "grey or RGB of 8 or 16"),
        "prog.jpg": "progressive",
        "cmyk.jpg": "CMYK",
        "g.gif": "not GIF",
    }
    for name, reason in reasons.items():
        assert reason in refused(name), name
    gray.save("g.png")
    assert "--frames all" in refused("g.png", frames="all")


def test_a_picture_in_cells_stands_for_its_values_and_is_refused(pictures, inline):
    pytest.importorskip("pyvips")
    Image.fromarray(pictures[0][:8, :8]).save("g.png")
    assert inline("relu", "g.png", "-o", "cells.png").returncode == 0
    with Image.open("cells.png") as image:
        assert image.size > (8, 8)
    assert "cells with numbers" in refused("cells.png")


def test_a_small_result_of_a_large_picture_is_drawn_in_cells_as_any_other(pictures, inline):
    pytest.importorskip("pyvips")
    Image.fromarray(pictures[1]).save("c.png")
    for name, more in (("a.png", []), ("b.png", ["--max-pixels", "1000"])):
        assert inline("run", "crop 9 | convolve sobel-x sobel-y", "c.png", "-o", name, *more).stdout
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
def test_a_picture_that_is_cut_off_is_refused_and_leaves_nothing(pictures, inline, suffix):
    pytest.importorskip("pyvips")
    Image.fromarray(pictures[1]).save(f"a.{suffix}", **({"quality": 95} if suffix == "jpg" else {}))
    data = Path(f"a.{suffix}").read_bytes()
    Path(f"a.{suffix}").write_bytes(data[: len(data) * 2 // 3])
    done = inline("run", EDGES, f"a.{suffix}", "-o", "o.npy", "--max-pixels", "1000")
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert f"a.{suffix}" in done.stderr
    assert sorted(path.name for path in Path().iterdir()) == [f"a.{suffix}"]


def test_results_of_every_kind_are_those_of_a_whole_run(pictures, inline):
    pytest.importorskip("pyvips")
    Image.fromarray(pictures[1]).save("c.png")
    Image.fromarray(pictures[0]).save("g.png")
    few = ["--max-pixels", "1000", "-v"]
    for name in ("c.png", "g.png"):
        for step in (EDGES, "convolve sobel-x", "pool 2", "normalize 100 3"):
            for view in ([], ["--view", "abs"], ["--view", "clip"]):
                whole = inline("run", step, name, "-o", "whole/", "--overwrite", *view)
                strips = inline("run", step, name, "-o", "strips/", "--overwrite", *view, *few)
                assert (whole.returncode, strips.returncode) == (0, 0), strips.stderr
                assert "in strips of" in strips.stderr
                assert [line.rpartition("/")[2] for line in strips.stdout.splitlines()] == [
                    line.rpartition("/")[2] for line in whole.stdout.splitlines()
                ]
    names = sorted(path.name for path in Path("whole").iterdir())
    assert names == sorted(path.name for path in Path("strips").iterdir())
    for name in names:
        one, two = Path("whole", name).read_bytes(), Path("strips", name).read_bytes()
        assert one == two or name.endswith(".json"), name


def test_a_second_run_finds_its_results(pictures, inline):
    np.save("a.npy", pictures[0].repeat(20, axis=0).repeat(20, axis=1))
    few = ["--max-memory", "110MB", "-v"]
    assert "in strips" in inline("convolve", "a.npy", "-k", "vertical", "-o", "o.npy", *few).stderr
    again = inline("convolve", "a.npy", "-k", "vertical", "-o", "o.npy", *few)
    assert (again.returncode, "unchanged" in again.stderr) == (0, True)


def test_a_picture_only_is_drawn_without_the_array(pictures, inline):
    pytest.importorskip("pyvips")
    Image.fromarray(pictures[0]).save("g.png")
    assert inline("run", EDGES, "g.png", "-o", "a.png").returncode == 0
    assert inline("run", EDGES, "g.png", "-o", "b.png", "--max-pixels", "99").returncode == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert sorted(path.name for path in Path().iterdir()) == ["a.png", "b.png", "g.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["run", "convolve sobel-x sobel-y", "c.png", "-o", "o/"], 2, "sheet of tiles"),
        (["run", EDGES, "c.png", "-o", "o.npz"], 2, ".npy, .png or .zarr"),
        (["run", EDGES, "c.png", "-o", "o.tar"], 2, ".npy, .png or .zarr"),
        (["resize", "c.png", "--size", "8", "-o", "o.npy"], 1, "needs the whole picture"),
        (["classify", "c.png", "--no-files"], 1, "needs the whole picture"),
        (["run", EDGES, "c.png", "--montage", "m.png"], 1, "needs the whole picture"),
    ],
)
def test_what_cannot_be_done_in_strips_is_refused_in_one_line(
    pictures, inline, arguments, code, reason
):
    pytest.importorskip("pyvips")
    Image.fromarray(pictures[1]).save("c.png")
    done = inline(*arguments, "--max-pixels", "1000")
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
    assert reason in done.stderr and "more than --max-pixels 1000" in done.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["c.png"]


def test_values_that_three_channels_cannot_show_are_refused(pictures, inline):
    data = pictures[1].repeat(12, axis=0).repeat(12, axis=1).astype(np.float32)
    data[5, 5, 0] = np.nan
    np.save("a.npy", data)
    done = inline("relu", "a.npy", "-o", "o.png", "--max-memory", "120MB")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "NaN or infinity in three channels" in done.stderr
    assert not Path("o.png").exists()


@pytest.mark.parametrize(
    ("module", "extra", "arguments"),
    [
        ("pyvips", "large", ["run", EDGES, "c.png", "-o", "o.npy", "--max-pixels", "1000"]),
        ("zarr", "zarr", ["run", EDGES, "c.png", "-o", "o.zarr"]),
    ],
)
def test_without_the_extra_one_line_says_what_to_install(
    pictures, inline, monkeypatch, module, extra, arguments
):
    Image.fromarray(pictures[1]).save("c.png")
    monkeypatch.setitem(sys.modules, module, None)
    done = inline(*arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert f"pip install 'featcli[{extra}]'" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux does")
def test_memory_stays_within_the_budget(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).integers(0, 255, (100, 12_000), np.uint8)
    with Path("a.npy").open("wb") as stream:
        about = {"descr": "|u1", "fortran_order": False, "shape": (12_000, 12_000)}
        np.lib.format.write_array_header_1_0(stream, about)
        for _ in range(120):
            stream.write(rows.data)
    command = ["-m", "featcli", "run", EDGES, "a.npy", "-o", "o.npy", "--max-memory", "150MB"]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, sys.executable, *command],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=250,
        check=True,
    )
    assert int(done.stdout.split()[-1]) * 1024 < 150 * 10**6
    assert np.load("o.npy", mmap_mode="r").shape == (6000, 6000, 1)
