"""What is refused: one clear line, the right exit code, and no file left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import portable
import pytest
from conftest import Runner, assert_refused, environment, listing, run_process

pty = portable.module("pty")

K = ["-k", "vertical"]
IS_ROOT = portable.is_root()


@pytest.fixture
def broken(workspace: Path) -> Path:
    """The workspace with files that are not what they seem."""
    Path("text.png").write_text("no picture\n")
    Path("empty.png").touch()
    Path("truncated.png").write_bytes(Path("gray.png").read_bytes()[:60])
    Path("truncated.jpg").write_bytes(Path("photo.jpg").read_bytes()[:3000])
    Path("bits.png").write_bytes(Path("gray.png").read_bytes()[:-20] + bytes(20))
    np.save("object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save("four.npy", np.zeros((2, 2, 2, 2)))
    np.save("vector.npy", np.zeros(5, np.float32))
    np.save("nothing.npy", np.zeros((0, 3)))
    shape = "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296,), }"
    Path("lying.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + shape.ljust(117).encode() + b"\n")
    Path("zip.npz").write_bytes(b"PK\x03\x04 and nothing more")
    Path("empty").mkdir()
    Path("folder.png").mkdir()
    Path("notes.txt").write_text("1 2\n3\n")
    Path("taken").write_text("a file")
    return workspace


USAGE = {
    "no such file": (["relu", "nofile.png"], "no file 'nofile.png'"),
    "no such file beside a good one": (["relu", "gray.png", "nofile.png"], "no file 'nofile.png'"),
    "a glob that matches nothing": (["relu", "gray.png", "*.nope"], "no file '*.nope'"),
    "a folder without images": (["relu", "empty", "-o", "out"], "no images in the folder 'empty'"),
    "a folder that is called like a picture": (["relu", "folder.png", "-o", "out"], "no images"),
    "a folder without -o": (["relu", "samples"], "needs -o"),
    "a folder into itself": (["relu", "samples", "-o", "samples"], "into the input folder"),
    "a vector for pool": (["run", "flatten | pool 2", "nofile"], "step 2 (pool) takes maps"),
    "an unknown kernel": (["convolve", "gray.png", "-k", "vertikal"], "did you mean vertical?"),
    "an empty kernel": (["convolve", "gray.png", "-k", ""], "row 1 of the kernel is empty"),
    "a ragged kernel": (["convolve", "gray.png", "-k", "1 2; 3"], "all rows must be equally long"),
    "a ragged kernel file": (["convolve", "gray.png", "-k", "notes.txt"], "equally long"),
    "NaN in a kernel": (["convolve", "gray.png", "-k", "1 nan"], "'nan' is not a number"),
    "no such kernel file": (["convolve", "gray.png", "-k", "no.csv"], "no such file"),
    "a picture as a kernel": (["convolve", "gray.png", "-k", "one.png"], "name must end in"),
    "a broken kernel file": (["convolve", "gray.png", "-k", "lying.npy"], "lying.npy"),
    "no kernel": (["convolve", "gray.png"], "needs --kernel KERNEL"),
    "a kernel as a word": (["convolve", "vertical", "gray.png"], "did you mean --kernel vertical?"),
    "a kernel after the file": (["convolve", "gray.png", "vertical"], "--kernel vertical?"),
    "a size as a word": (["pool", "2"], "no file '2'; did you mean --size 2?"),
    "a size after the file": (["pool", "gray.png", "2"], "no file '2'; did you mean --size 2?"),
    "size 0": (["pool", "gray.png", "--size", "0"], "at least 1, not 0"),
    "a size that is no number": (["pool", "gray.png", "--size", "two"], "not a whole number"),
    "stride -1": (["convolve", "gray.png", *K, "--stride", "-1"], "at least 1, not -1"),
    "an option twice": (["pool", "gray.png", "--size", "2", "-s", "3"], "--size is given twice"),
    "-o twice": (["relu", "gray.png", "-o", "a", "--output", "b"], "--output is given twice"),
    "-o without its value": (["relu", "gray.png", "-o", "--json"], "looks like an option"),
    "an unknown option": (["relu", "gray.png", "--overwrit"], "--overwrite"),
    "an unknown choice": (["convolve", "gray.png", *K, "--padding", "sam"], "one of same, valid"),
    "an unknown command": (["convolv", "gray.png"], "did you mean convolve?"),
    "an unknown stage": (["run", "relu | pol 2", "gray.png"], "step 2 (pol)"),
    "an empty step": (["run", "relu | | pool", "gray.png"], "step 2 is empty"),
    "an open quotation": (["run", "convolve 'x", "gray.png"], "no closing quotation"),
    "no pipeline": (["run"], "no pipeline: give one"),
    "arguments in the wrong order": (["run", "gray.png", "relu"], "no stage 'gray.png'"),
    "an unknown suffix": (["relu", "gray.png", "-o", "x.jpg"], "no output of the kind '.jpg'"),
    "a file as the folder": (["relu", "gray.png", "-o", "taken/"], "is a file, not a folder"),
    "a file on the way": (["relu", "gray.png", "-o", "taken/a/b"], "is a file, not a folder"),
    "a file in the way": (["relu", "gray.png", "-o", "taken"], "is a file, not a folder"),
    "--format without -o -": (["relu", "gray.png", "--format", "npy"], "goes with -o -"),
    "a missing list": (["relu", "--from-file", "nolist"], "--from-file nolist: No such file"),
    "a folder as a list": (["relu", "--from-file", "empty"], "--from-file empty: Is a directory"),
    "no colour": (["relu", "gray.png", "--background", "nocolour"], "'nocolour' is not a colour"),
    "--max-pixels 0": (["relu", "gray.png", "--max-pixels", "0"], "--max-pixels"),
    "two for one .npy": (["relu", "gray.png", "one.png", "-o", "x.npy"], "holds one result"),
    "parts for one .npy": (["split-channels", "small.png", "-o", "x.npy"], "holds one result"),
    "an unknown kernel to show": (["kernels", "vertikal"], "did you mean vertical?"),
    "nothing to inform of": (["info", "nofile.png"], "no file 'nofile.png'"),
}

CONTENT = {
    "not an image": (["relu", "text.png"], "text.png: not an image or array"),
    "a truncated PNG": (["relu", "truncated.png"], "truncated.png: broken or truncated PNG"),
    "a truncated JPEG": (["relu", "truncated.jpg"], "truncated.jpg: broken or truncated JPEG"),
    "flipped bits": (["relu", "bits.png"], "bits.png: broken"),
    "an empty file": (["relu", "empty.png"], "empty.png: the file is empty"),
    "object dtype": (["relu", "object.npy"], "object.npy: its elements are of type object"),
    "a lying header": (["relu", "lying.npy"], "declares 34359738368 bytes, 0 follow"),
    "four dimensions": (["relu", "four.npy"], "four.npy: an array of shape (2, 2, 2, 2)"),
    "no values": (["relu", "nothing.npy"], "nothing.npy: an array of shape (0, 3)"),
    "no valid .npz": (["relu", "zip.npz"], "zip.npz: not a valid .npz file"),
    "a vector for pool": (["pool", "vector.npy"], "pool takes maps, not a vector of shape 5"),
    "a kernel too large": (["convolve", "gray.png", "-k", "box:9", "--padding", "valid"], "9x9"),
    "too many pixels": (
        ["resize", "gray.png", "--size", "4", "--max-pixels", "10"],
        "more than --max-pixels 10",
    ),
    "a broken file to show": (["show", "truncated.png"], "truncated.png: broken"),
    "a broken file to inform of": (["info", "four.npy", "--json"], "four.npy: "),
}


CASES = [(code, *case) for code, cases in ((2, USAGE), (1, CONTENT)) for case in cases.values()]


@pytest.mark.parametrize("code,arguments,words", CASES, ids=[*USAGE, *CONTENT])
def test_a_wrong_request_or_input_is_refused(
    broken: Path, inline: Runner, code: int, arguments: list[str], words: str
) -> None:
    before = listing(broken)
    assert_refused(inline(*arguments), code, words)
    assert listing(broken) == before


def test_a_real_process_refuses_in_the_same_words(broken: Path, shell: Runner) -> None:
    script = "featcli pool 2; echo $?; featcli relu truncated.png -o - ; echo $?; featcli; echo $?"
    result = shell(script + " >&2")
    lines = result.stderr.splitlines()
    assert lines[0] == "featcli pool: no file '2'; did you mean --size 2?"
    assert lines[1].startswith("featcli relu: truncated.png: broken or truncated PNG")
    assert lines[2].startswith("Usage: featcli")
    assert "Traceback" not in result.stderr


def test_debug_shows_where_an_error_comes_from(broken: Path, inline: Runner) -> None:
    result = inline("relu", "nofile.png", "--debug")
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1] == "featcli relu: no file 'nofile.png'"
    assert result.returncode == 2


def test_one_broken_image_does_not_stop_the_others(broken: Path, inline: Runner) -> None:
    result = inline("relu", "truncated.png", "gray.png", "text.png", "one.png")
    assert result.returncode == 1
    assert result.stdout.splitlines() == ["gray.relu.npy", "one.relu.npy"]
    assert result.stderr.splitlines()[-1] == "featcli relu: 2 done, 0 skipped, 2 failed"


def test_nothing_is_done_when_one_of_the_outputs_is_anothers(broken: Path, inline: Runner) -> None:
    Path("one.relu.npy").write_text("mine")
    before = listing(broken)
    assert_refused(inline("relu", "gray.png", "one.png"), 2, "one.relu.npy exists already")
    assert listing(broken) == before


@pytest.mark.parametrize("output", ["x.npy", "x.npz", "x.png", "x.tar"])
def test_a_file_of_anothers_is_not_replaced(broken: Path, inline: Runner, output: str) -> None:
    Path(output).write_text("mine")
    assert_refused(inline("relu", "gray.png", "-o", output), 2, f"{output} exists already")
    assert Path(output).read_text() == "mine"
    assert not list(broken.glob("*.part"))


@pytest.mark.parametrize("suffix", [".csv", ".toml", ".json", ".npy"])
def test_a_huge_or_broken_kernel_file_is_refused(broken: Path, inline: Runner, suffix: str) -> None:
    Path(f"kernel{suffix}").write_bytes(b"9" * 30_000_000)
    before = listing(broken)
    result = inline("convolve", "gray.png", "-k", f"kernel{suffix}")
    assert_refused(result, 2, f"kernel{suffix}")
    assert len(result.stderr) < 400
    assert listing(broken) == before


def test_names_cannot_drive_the_terminal(broken: Path, inline: Runner) -> None:
    result = inline("relu", "a\x1b[31m\nb\udcff.png")
    assert_refused(result, 2, "no file 'a\\x1b[31m\\nb")
    assert "\x1b" not in result.stderr


def test_a_name_that_is_no_text_is_shown_by_its_bytes(broken: Path, inline: Runner) -> None:
    Path("b\udcff.png").write_text("no picture")
    assert_refused(inline("relu", "b\udcff.png"), 1, "b\\xff.png: not an image")


def test_a_folder_that_denies_even_root_is_refused(broken: Path, inline: Runner) -> None:
    result = inline("relu", "gray.png", "-o", "/proc/x")
    if IS_ROOT:  # to whom the file system says so only when the folder is made
        assert_refused(result, 1, "cannot write /proc/x/gray")
    else:
        assert_refused(result, 2, "no permission to write to /proc")


@pytest.mark.skipif(IS_ROOT, reason="root may read and write everything")
def test_what_may_not_be_read_or_written_is_refused(broken: Path, inline: Runner) -> None:
    Path("gray.png").chmod(0)
    Path("empty").chmod(0o500)
    assert_refused(inline("relu", "gray.png"), 1, "gray.png: Permission denied")
    assert_refused(inline("relu", "one.png", "-o", "empty"), 2, "no permission to write")


def test_a_folder_with_pipes_loops_and_dead_links_is_walked(broken: Path, inline: Runner) -> None:
    folder = broken / "odd"
    folder.mkdir()
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(".")
    (folder / "self").symlink_to("self")
    (folder / "dead.png").symlink_to("nowhere")
    (folder / ".hidden.png").write_bytes(Path("gray.png").read_bytes())
    (folder / "fine.png").write_bytes(Path("gray.png").read_bytes())
    result = inline("relu", "odd", "-o", "out")
    assert result.stdout == "out/fine.relu.npy\n"
    assert "odd/dead.png: No such file" in result.stderr
    assert result.returncode == 1


def test_a_folder_in_a_list_is_refused_by_name(broken: Path, inline: Runner) -> None:
    result = inline("relu", "-o", "-", stdin="empty\nfolder.png\n")
    assert result.returncode == 1
    assert "empty: a folder in a list of files" in result.stderr
    assert "0 done, 0 skipped, 2 failed" in result.stderr


def test_an_empty_list_is_an_error(broken: Path, inline: Runner) -> None:
    Path("list").touch()
    assert_refused(inline("relu", "--from-file", "list"), 1, "the list of files is empty")


def test_binary_data_is_kept_from_a_terminal(workspace: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "featcli", "relu", "gray.png", "-o", "-"]
    done = subprocess.run(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment()
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"to the terminal" in done.stderr


def test_nothing_at_all_on_a_terminal_asks_for_input(workspace: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "featcli", "relu"]
    done = subprocess.run(command, stdin=theirs, capture_output=True, env=environment())
    os.close(theirs)
    os.close(ours)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"no input: name files or folders" in done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_leaves_nothing_half_done(workspace: Path, inline: Runner, name: str) -> None:
    stream = inline("relu", "gray.png", "-o", "-", binary=True).stdout
    before = listing(workspace)
    number = getattr(signal, name)
    command = [sys.executable, "-m", "featcli", "relu", "-o", "out.tar"]
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **piped, env=environment()) as process:
        process.stdin.write(stream[:4096])
        process.stdin.flush()
        while not list(workspace.glob(".featcli/*.part")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (128 + number, b"", b"")
    memory = {".featcli/out.tar.db", ".featcli/out.tar.lock", "out.tar.manifest.jsonl"}
    after = listing(workspace)
    assert {name: after[name] for name in after.keys() - memory} == before


@pytest.mark.parametrize("output", ["full/", "full.npy", "full.npz", "full.png", "full.tar"])
def test_a_full_disk_leaves_nothing_behind(workspace: Path, output: str) -> None:
    before = listing(workspace)
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000)); "
        "from featcli.cli.main import main; main(sys.argv[1:])"
    )
    command = [
        sys.executable,
        "-B",
        "-c",
        limited,  # the limit is for .pyc files, too
        "convolve",
        "photo.jpg",
        *K,
        "-o",
        output,
    ]
    result = run_process(command)
    assert_refused(result, 1, "cannot write full", "File too large")
    assert listing(workspace) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_an_error(workspace: Path, shell: Runner) -> None:
    script = "featcli {} > /dev/full; echo $?; "
    commands = ["relu gray.png -o -", "kernels", "show gray.png", "relu one.png"]
    result = shell("".join(map(script.format, commands)))
    assert result.stdout.split() == ["1"] * 4
    assert [line.partition(": ")[2] for line in result.stderr.splitlines()] == [
        "standard input or output: No space left on device"
    ] * 4


def test_closed_standard_streams_are_no_accident(workspace: Path, shell: Runner) -> None:
    assert_refused(shell("featcli relu gray.png >&-"), 1, "standard output is closed")
    assert shell("featcli relu nofile.png 2>&-").returncode == 2
    assert_refused(shell("featcli relu <&-"), 2, "no input")
