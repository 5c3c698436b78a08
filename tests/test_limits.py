"""Small files that ask for much: each is refused, or done within the budget, by a real process."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import environment
from measuring import Measured, measure
from PIL import Image

MIB = 1 << 20
REFUSED = 300  # MiB that a refusal may take


Measure = Callable[..., Measured]


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Run featcli in an empty folder and say what it took."""
    monkeypatch.chdir(tmp_path)
    return measure


def assert_refused(found: Measured, code: int, words: str) -> None:
    assert found.code == code, found
    assert len(found.lines) == 1, found.lines
    assert words in found.lines[0]
    assert len(found.lines[0]) < 1200
    assert found.peak < REFUSED, found


def sparse(name: str, size: int, head: bytes = b"") -> str:
    with Path(name).open("wb") as stream:
        stream.write(head)
        stream.truncate(size)
    return name


# Arrays


def packed(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


@pytest.mark.slow
def test_arrays_that_unpack_to_gigabytes_are_refused(measured):
    rows = 40_000
    about = {"descr": "|u1", "fortran_order": False, "shape": (rows, rows)}
    with (
        zipfile.ZipFile("bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w") as member,
    ):
        np.lib.format.write_array_header_1_0(member, about)
        for _ in range(rows * rows // (16 * MIB) + 1):
            member.write(bytes(16 * MIB))
    assert Path("bomb.npz").stat().st_size < 4 * MIB
    assert_refused(measured("relu", "bomb.npz", "-o", "x.npz"), 1, "its arrays take 1.61 GB")


@pytest.mark.slow
def test_many_small_arrays_are_refused_by_what_they_are_written_to(measured):
    member = io.BytesIO()
    np.save(member, np.zeros((1, 1), np.uint8))
    with zipfile.ZipFile("many.npz", "w") as archive:
        for number in range(60_000):
            archive.writestr(f"a{number}.npy", member.getvalue())
    found = measured("relu", "many.npz", "-o", "x.npy")
    assert_refused(found, 2, "holds one result, and there are several")


def test_a_directory_of_entries_that_is_gigabytes_long_is_not_read(measured):
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 60_000, 60_000, 3_000_000_000, 100, 0)
    sparse("long.npz", 3_000_000_100, b"PK\3\4")
    with Path("long.npz").open("ab") as stream:
        stream.write(end)
    assert_refused(measured("relu", "long.npz"), 1, "its list of arrays is too long")


# Side files


def test_a_sidecar_of_gigabytes_is_not_used(measured):
    np.save("s.npy", np.zeros((4, 4)))
    sparse("s.json", 3 << 30)
    found = measured("flatten", "s.npy", "-o", "x.npy")
    assert found.code == 0
    assert found.lines == [
        "featcli flatten: s.npy: the sidecar beside it is ignored: larger than 16.8 MB"
    ]
    assert found.peak < REFUSED


@pytest.mark.parametrize("text", ["[" * 10_000_000, '{"featcli": ' * 1_000_000, "[1," * 300])
def test_a_sidecar_of_brackets_is_not_used(measured, text):
    np.save("s.npy", np.zeros((4, 4)))
    Path("s.json").write_text(text)
    found = measured("flatten", "s.npy", "-o", "x.npy")
    assert (found.code, len(found.lines)) == (0, 1)
    assert "the sidecar beside it is ignored: broken JSON" in found.lines[0]
    assert found.peak < REFUSED


def test_a_history_that_is_nested_too_deeply_is_not_used(measured):
    np.save("s.npy", np.zeros((4, 4)))
    head = '{"featcli": "1", "source": {"key": "s", "file": "s"}, "part": "", "labels": ["0"], '
    head += '"shape": [4, 4], "dtype": "<f8", "history": [{"stage": "relu", "params": {"a": '
    for depth in (200, 400, 900):
        Path("s.json").write_text(head + "[" * depth + "]" * depth + "}}]}")
        found = measured("flatten", "s.npy", "-o", f"x{depth}.npy")
        assert (found.code, found.lines) in ((0, []), (0, found.lines[:1])), found


def test_a_line_of_a_list_that_is_no_path_is_refused(measured):
    Path("list").write_bytes(b"a" * 200_000_000)
    words = "a line of more than 65536 bytes"
    assert_refused(measured("relu", "--from-file", "list", "-o", "out"), 1, words)


def test_labels_of_gigabytes_are_refused(measured):
    np.save("one.npy", np.zeros((28, 28), np.uint8))
    sparse("labels.txt", 3 << 30)
    found = measured("classify", "one.npy", "--model", "digits", "--labels", "labels.txt")
    assert_refused(found, 2, "are too many for names")


def test_weights_of_gigabytes_are_refused(measured):
    np.save("v.npy", np.zeros(4))
    sparse("w.npy", 3 << 30, b"\x93NUMPY")
    assert_refused(measured("dense", "v.npy", "--weight", "w.npy"), 2, "larger than 500 MB")


# Kernels


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("k.toml", ".".join("a" * 20_000) + "=1", "a key of too many dotted parts"),
        ("k.toml", "[[a]]\n" * 600_000, "larger than 1.05 MB"),
        ("k.toml", "values=[[1]]\n" + "a.b.c={}\n" * 90_000, "too many keys for a kernel"),
        ("k.json", "[" * 4_000_000, "nested too deeply"),
        ("k.json", "[" + "9" * 4_000_000 + "]", "too many digits"),
        ("k.csv", "1 " * 2_000_000, "a row of 3999999 characters"),
        ("k.csv", "1\n" * 2_000_000, "at most 1023 x 1023"),
    ],
)
def test_a_kernel_file_that_costs_its_parser_much_is_refused(measured, name, text, words):
    Path(name).write_text(text)
    assert_refused(measured("kernels", f"./{name}"), 2, words)


# Models


@pytest.fixture
def digits() -> bytearray:
    import featcli

    path = Path(featcli.__file__).parent / "data" / "models" / "digits.npz"
    return bytearray(path.read_bytes())


def test_a_model_in_a_zip_of_another_version_is_refused(measured, digits):
    digits[digits.find(b"PK\1\2") + 6] = 109
    Path("m.npz").write_bytes(digits)
    np.save("one.npy", np.zeros((28, 28), np.uint8))
    found = measured("classify", "one.npy", "--model", "m.npz", "--no-files")
    assert_refused(found, 1, "zip file version 10.9")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_model_that_has_an_array_twice_is_refused(measured, digits):
    Path("m.npz").write_bytes(digits)
    with zipfile.ZipFile("m.npz", "a") as archive:
        first = next(name for name in archive.namelist() if name.endswith(".npy"))
        archive.writestr(first, archive.read(first))
    np.save("one.npy", np.zeros((28, 28), np.uint8))
    found = measured("classify", "one.npy", "--model", "m.npz", "--no-files")
    assert_refused(found, 1, "two of its arrays have the same name")


# What `info` tells


def test_info_of_a_large_array_takes_little_more_than_the_array(measured):
    np.savez_compressed("z.npz", np.zeros((10_000, 10_000), np.uint8))
    found = measured("info", "z.npz")
    assert (found.code, found.lines) == (0, [])
    assert found.peak < 200


def test_info_of_many_small_arrays_reads_the_file_once(measured):
    np.savez("many.npz", **{f"a{number}": np.zeros(1, np.uint8) for number in range(3000)})
    found = measured("info", "many.npz", "--json")
    assert (found.code, found.out.count("\n")) == (0, 3000)


# Clean streams


def test_no_warning_of_numpy_reaches_a_person(measured):
    np.save("h.npy", np.array([[1.7e308, -1.7e308], [np.inf, np.nan]] * 2))
    stages = ["pool 2 --kind mean", "softmax", "sigmoid", "tanh", "abs", "normalize 1e308 1e-300"]
    stages += ["convolve box:3", "resize 1"]
    for number, text in enumerate(stages):
        found = measured("run", text, "h.npy", "-o", f"p{number}.npy")
        assert not [line for line in found.lines if not line.startswith("featcli")], found


def test_a_message_is_cut_however_long_what_it_speaks_of_is(measured):
    found = measured("run", "relu | " + "x" * 100_000, "a.png")
    assert_refused(found, 2, " ... ")


def test_names_are_escaped_on_a_terminal_and_raw_in_a_pipe(tmp_path, monkeypatch):
    import os
    import pty

    monkeypatch.chdir(tmp_path)
    name = "a\x1b]0;title\x07a"
    np.save(f"{name}.npy", np.zeros((2, 2)))
    for options in (("--dry-run",), ()):
        command = [sys.executable, "-m", "featcli", "relu", f"{name}.npy", "-o", "o/", *options]
        ours, theirs = pty.openpty()
        subprocess.run(command, stdout=theirs, env=environment(), timeout=100, check=True)
        os.close(theirs)
        shown = os.read(ours, 1 << 16)
        os.close(ours)
        assert b"\x1b]0;" not in shown
        assert b"a\\x1b]0;title\\x07a" in shown
        piped = subprocess.run(command, capture_output=True, env=environment(), timeout=100)
        assert b"\x1b]0;title" in piped.stdout or options


def tiff_with_a_bad_tag() -> bytes:
    """A sound gray TIFF, packed by LZW, with a tag that libtiff warns of."""
    from PIL import Image

    stream = io.BytesIO()
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    image.save(stream, "TIFF", compression="tiff_lzw", tiffinfo={65000: "x", 40000: 1})
    return stream.getvalue()


def test_decoders_say_nothing_of_their_own(measured):
    data = bytearray(tiff_with_a_bad_tag())
    Path("a.tif").write_bytes(data)
    for place in range(8, len(data), 7):
        broken = bytearray(data)
        broken[place] ^= 0x15
        Path(f"broken{place:04}.tif").write_bytes(broken)
    found = measured("relu", ".", "-o", "o.npz", "-j", "2")
    assert found.code in (0, 1)
    assert not [line for line in found.lines if not line.startswith("featcli relu: ")], found


# Pictures


def gif(cols: int, rows: int) -> bytes:
    head = struct.pack("<6sHHBBB", b"GIF89a", cols, rows, 128, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0;"
    return head + frame


def test_a_gif_of_35_bytes_and_a_huge_canvas_is_refused(measured):
    Path("c.gif").write_bytes(gif(15_800, 15_800))
    found = measured("run", "resize 8", "c.gif", "-o", "c.npy")
    assert_refused(found, 1, "more than --max-memory 1 GB")


def test_a_deep_png_that_would_take_gigabytes_is_refused(measured):
    import zlib

    rows, packer = 10_000, zlib.compressobj(9)
    pixels = b"".join(packer.compress(bytes(1 + 8 * rows)) for _ in range(rows)) + packer.flush()

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", rows, rows, 16, 6, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    Path("d.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    found = measured("relu", "d.png", "-o", "d.npy")
    assert_refused(found, 1, "more than --max-memory 1 GB")
    assert_refused(measured("info", "d.png", "--max-memory", "500MB"), 1, "--max-memory 500 MB")


def test_a_plain_pgm_of_one_pixel_and_many_bytes_is_read_or_refused(measured):
    Path("p.pgm").write_bytes(b"P2\n1 1\n255\n" + b"7 " * 60_000_000)
    assert measured("relu", "p.pgm", "-o", "p.npy").peak < REFUSED


def test_a_tiff_of_many_directories_is_read_as_far_as_is_wanted(measured):
    count, entries = 400_000, [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8)]
    entries += [(277, 1), (278, 1), (279, 1)]
    size = 2 + 12 * len(entries) + 4
    body = struct.pack("<H", len(entries))
    body += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    pages = [body + struct.pack("<I", 16 + size * (n + 1)) for n in range(count - 1)]
    data = b"II*\0" + struct.pack("<I", 16) + bytes(8) + b"".join(pages) + body + bytes(4)
    Path("t.tif").write_bytes(data)
    found = measured("relu", "t.tif", "-o", "t.npy")
    assert found.code == 0
    assert found.peak < REFUSED


def test_workers_share_the_budget_and_a_large_picture_has_all_of_it_alone(measured):
    from PIL import Image

    for number in range(3):
        size = (3000, 2000) if number == 1 else (300, 200)
        Image.new("RGB", size, (number, 2, 3)).save(f"p{number}.png")
    few = ["--max-memory", "260MB", "-j", "4"]
    found = measured("convolve", ".", "-k", "vertical", "-o", "out/", *few)
    assert (found.code, [line for line in found.lines if "failed" in line]) == (
        0,
        [line for line in found.lines if "0 failed" in line],
    ), found
    assert sorted(path.name for path in Path("out").glob("*.npy")) == [
        f"p{number}.vertical.npy" for number in range(3)
    ]
    found = measured("resize", ".", "--size", "100", "-o", "b/", "--max-memory", "120MB", "-j", "2")
    assert found.code == 1
    (line,) = [line for line in found.lines if "--max-memory" in line]
    assert "p1.png: takes about" in line


def test_a_list_in_utf_16_is_one_line(measured):
    Path("list.txt").write_bytes("photo.jpg\n".encode("utf-16"))
    assert_refused(measured("gray", "--from-file", "list.txt", "-o", "out/"), 1, "UTF-16")


def test_a_noisy_webp_with_transparency_stays_within_the_budget(measured):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2700, 2700, 4), dtype=np.uint8)
    Image.fromarray(pixels).save("a.webp", lossless=True, method=0, quality=0)
    found = measured("info", "a.webp", "--max-memory", "300MB")
    assert found.code == 0
    assert found.peak <= 300


def test_a_rehearsal_refuses_the_entries_of_a_tar_that_a_run_refuses(measured):
    picture = io.BytesIO()
    Image.new("L", (4, 4)).save(picture, "PNG")
    with tarfile.open("x.tar", "w") as archive:
        for name in ("good.png", "../evil.png", "a/../../b.png"):
            entry = tarfile.TarInfo(name)
            entry.size = picture.tell()
            archive.addfile(entry, io.BytesIO(picture.getvalue()))
    rehearsed = measured("abs", "x.tar", "-o", "out/", "--dry-run")
    assert "1 to do, 0 there already, 2 refused" in rehearsed.lines[-1]
    assert "evil" not in rehearsed.out
    assert "1 done, 0 skipped, 2 failed" in measured("abs", "x.tar", "-o", "out/").lines[-1]


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_a_manifest_that_is_one_line_of_gigabytes_costs_nothing(measured, more):
    Image.new("L", (4, 4)).save("a.png")
    Image.new("L", (4, 4)).save("b.png")
    Path("out").mkdir()
    sparse("out/manifest.jsonl", 3 << 30)
    found = measured("abs", "a.png", "b.png", "-o", "out/", *more)
    assert found.peak < REFUSED, found
    assert found.code in (0, 2)
    assert measured("info", "out").peak < REFUSED
