"""What is passed over in folders, archives and lists, and what is said of it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from conftest import Runner
from tars import picture, tar_of

from featcli.batch.peeking import names

SAID = "skipped, as no image or array that featcli reads: "


def fill(folder: Path, **files: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)


def test_a_folder_says_once_what_it_leaves_out_by_suffix(workspace: Path, inline: Runner) -> None:
    fill(Path("in"), a__png=picture(), b__raw=b"x", c__RAW=b"x", d__psd=b"x", README=b"x")
    fill(Path("in/deep"), e__raw=b"x", __hidden=b"x")
    fill(Path("in/__MACOSX"), f__png=b"x")
    done = inline("relu", "in", "-o", "o/")
    assert done.returncode == 0
    assert done.stderr.count(SAID) == 1
    assert f"{SAID}3 .raw, 1 without a suffix, 1 .psd\n" in done.stderr
    assert SAID in inline("relu", "in", "-o", "p/", "--dry-run").stderr
    assert SAID not in inline("relu", "in", "-o", "p/", "-q").stderr


def test_what_featcli_wrote_into_a_folder_is_not_counted(workspace: Path, inline: Runner) -> None:
    fill(Path("in"), a__png=picture())
    inline("relu", "in", "-o", "o/")
    assert SAID not in inline("abs", "o", "-o", "p/").stderr


def test_a_shard_with_captions_says_so_once(workspace: Path, inline: Runner) -> None:
    entries = []
    for number in range(5):
        entries += [(f"{number}.jpg", picture()), (f"{number}.txt", b"text")]
        entries.append((f"{number}.json", b'{"caption": "text"}'))
    Path("shard.tar").write_bytes(tar_of(*entries))
    done = inline("relu", "shard.tar", "-o", "o/")
    assert done.stderr.count("skipped, as") == 1
    assert f"{SAID}5 .json, 5 .txt\n" in done.stderr
    assert len(list(Path("o").glob("*.npy"))) == 5


def test_hidden_files_of_an_archive_are_left_out_as_those_of_a_folder(
    workspace: Path, inline: Runner
) -> None:
    double = b"\0\5\x16\7" + bytes(60)
    hidden = ("._a.png", "__MACOSX/._a.png", "__MACOSX/a.png", ".git/a.png", "./._b.png")
    data = tar_of(("a.png", picture()), *((name, double) for name in hidden))
    Path("m.tar").write_bytes(data)
    done = inline("gray", "m.tar", "-o", "o/")
    assert (done.returncode, done.stderr) == (0, "featcli gray: 1 done, 0 skipped, 0 failed\n")


def test_an_archive_of_text_alone_says_that_there_is_no_image(
    workspace: Path, inline: Runner
) -> None:
    Path("t.tar").write_bytes(tar_of(("a.txt", b"text")))
    done = inline("relu", "t.tar", "-o", "o/")
    assert done.returncode == 1
    assert "1 .txt" in done.stderr
    assert "no image or array in the input" in done.stderr


def test_an_image_with_a_name_of_dots_goes_through_a_pipe(workspace: Path, shell: Runner) -> None:
    fill(Path("u"), a__png=picture(), z__png=picture())
    for name in ("..png", "...png"):
        (Path("u") / name).write_bytes(picture())
    listed = r"printf '%s\n' u/a.png u/..png u/...png u/z.png"
    done = shell(f"{listed} | featcli gray -o - | featcli relu -o o/")
    assert done.stderr.endswith("4 done, 0 skipped, 0 failed\n")


def test_a_path_that_leads_out_fails_in_a_pipe_and_takes_no_other_with_it(
    workspace: Path, shell: Runner
) -> None:
    fill(Path("u/v"), a__png=picture(), z__png=picture())
    fill(Path("u"), b__png=picture(), c__png=picture())
    listed = r"cd u/v; printf '%s\n' a.png ../b.png ../c.png z.png"
    done = shell(f"{listed} | featcli gray -o - 2>/dev/null | featcli relu -o ../../o/")
    assert done.stderr.count("leads out of the output folder") == 2
    assert done.stderr.endswith("2 done, 0 skipped, 2 failed\n")


def test_zeros_are_no_archive_however_many_come(workspace: Path, shell: Runner) -> None:
    done = shell("timeout 60 featcli relu </dev/zero")
    assert done.returncode == 1
    assert "nothing but zeros" in done.stderr
    fill(Path("in"), a__png=picture(), disk__iso=bytes(32768) + b"CD001rest")
    done = shell("featcli gray in -o o/")
    assert done.returncode == 0
    assert f"{SAID}1 .iso" in done.stderr


def test_an_empty_archive_holds_no_image(workspace: Path, inline: Runner) -> None:
    stream = io.BytesIO()
    tarfile.open(fileobj=stream, mode="w").close()
    Path("e.tar").write_bytes(stream.getvalue())
    for how in ({}, {"stdin": stream.getvalue()}):
        done = inline("relu", *([] if how else ["e.tar"]), "-o", "o/", **how)
        assert done.returncode == 1
        assert "no image or array in the input" in done.stderr


LISTS = {
    "a byte order mark": b"\xef\xbb\xbfa.png\nb.png\n",
    "comments": b"# two pictures\na.png\n#b.png\n\nb.png\n# end",
    "both, with carriage returns": b"\xef\xbb\xbf# two\r\n\r\na.png\r\nb.png\r\n",
    "a mark before names that end with NUL": b"\xef\xbb\xbfa.png\0b.png\0",
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_may_have(kind: str, workspace: Path, inline: Runner) -> None:
    fill(Path(), a__png=picture(), b__png=picture())
    Path("list").write_bytes(LISTS[kind])
    wanted = ["a.relu.npy", "b.relu.npy"]
    assert inline("relu", "--from-file", "list").stdout.splitlines() == wanted
    done = inline("relu", "-o", "o/", stdin=LISTS[kind])
    assert done.stdout.splitlines() == [f"o/{name}" for name in wanted]


def test_a_file_whose_name_looks_like_a_comment_is_no_comment(workspace: Path) -> None:
    fill(Path(), **{"#a__png": picture()})
    assert list(names(io.BytesIO(b"#a.png\n# text\n"))) == ["#a.png"]
