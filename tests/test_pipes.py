"""featcli in real shell pipes, of both kinds: paths that flow, and arrays that flow."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from conftest import Result, Runner, assert_refused, environment
from PIL import Image

ARRAYS = (
    "featcli convolve {0} -k vertical -o - | featcli relu -o - "
    "| featcli pool --size 2 -o - | featcli flatten -o {1}"
)
STAGES = "convolve vertical | relu | pool 2 | flatten"


def names(folder: Path) -> set[str]:
    """The files of a folder, without what featcli records about its runs."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(".featcli/")}


def codes(result: Result) -> list[int]:
    """What `echo ${PIPESTATUS[@]}` printed last."""
    return [int(code) for code in result.stdout.splitlines()[-1].split()]


def folder_of_images(folder: Path, count: int) -> Path:
    folder.mkdir()
    random = np.random.default_rng(3)
    for number in range(count):
        pixels = random.integers(0, 256, (5, 4, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")
    return folder


def test_paths_flow_and_every_intermediate_is_on_disk(workspace: Path, shell: Runner) -> None:
    before = names(workspace)
    result = shell(
        "featcli convolve samples/cat.jpg -k vertical | featcli relu "
        "| featcli pool --size 2 | featcli flatten; echo ${PIPESTATUS[@]}"
    )
    assert not result.stderr
    assert result.stdout.splitlines() == ["cat.vertical.relu.max2.flatten.npy", "0 0 0 0"]
    stems = ["cat.vertical"]
    stems += [f"{stems[0]}.relu", f"{stems[0]}.relu.max2", f"{stems[0]}.relu.max2.flatten"]
    expected = {f"{stem}{suffix}" for stem in stems for suffix in (".npy", ".png", ".json")}
    assert names(workspace) - before == expected


def test_all_three_channels_flow_on_after_split_channels(workspace: Path, shell: Runner) -> None:
    result = shell("featcli split-channels small.png | featcli convolve -k vertical | featcli relu")
    expected = [f"small.{channel}.vertical.relu.npy" for channel in "RGB"]
    assert result.stdout.splitlines() == expected
    for channel in "RGB":
        for tags in ("", ".vertical", ".vertical.relu"):
            assert {f"small.{channel}{tags}.npy", f"small.{channel}{tags}.png"} <= names(workspace)


def test_find_feeds_convolve(workspace: Path, shell: Runner) -> None:
    (workspace / "deep" / "er").mkdir(parents=True)
    (workspace / "deep" / "er" / "six.png").write_bytes(Path("gray.png").read_bytes())
    result = shell("find . -name '*.png' | sort | featcli convolve -k vertical -o maps")
    expected = ["deep/er/six", "gray", "one", "small", "zero"]
    assert result.stdout.splitlines() == [f"maps/{name}.vertical.npy" for name in expected]
    summary = "featcli convolve: 5 done, 0 skipped, 0 failed\n"
    assert (result.returncode, result.stderr) == (0, summary)


def test_names_that_are_hard_to_print_pass_through_print0(workspace: Path, shell: Runner) -> None:
    folder = workspace / "odd"
    folder.mkdir()
    odd = [b"new\nline.png", b"two  spaces.png", b"-k.png", b"[red].png", b"\xff\xfe.png"]
    odd += ["größe.png".encode(), b"$(touch x) 'q'.png"]
    for name in odd:
        (folder / os.fsdecode(name)).write_bytes(Path("gray.png").read_bytes())
    script = "cd odd; find . -name '*.png' -print0 | featcli convolve -k vertical -0 | sort -z"
    result = shell(script, binary=True)
    expected = sorted(name.removesuffix(b".png") + b".vertical.npy\0" for name in odd)
    assert result.stdout == b"".join(expected)
    assert (result.returncode, result.stderr) == (0, "")
    for path in expected:
        assert (folder / os.fsdecode(path.rstrip(b"\0"))).is_file()


def test_paths_of_odd_names_flow_between_commands(workspace: Path, shell: Runner) -> None:
    Path("-a [red] é.png").write_bytes(Path("gray.png").read_bytes())
    result = shell("featcli convolve -k vertical -- '-a [red] é.png' | featcli relu")
    assert result.stdout == "-a [red] é.vertical.relu.npy\n"


def test_arrays_flow_and_give_the_bytes_of_run(workspace: Path, shell: Runner) -> None:
    before = names(workspace)
    piped = shell(ARRAYS.format("samples/cat.jpg", "piped.npy") + "; echo ${PIPESTATUS[@]}")
    assert (piped.stdout, piped.stderr) == ("piped.npy\n0 0 0 0\n", "")
    assert names(workspace) - before == {"piped.npy", "piped.json"}
    shell(f"featcli run {shlex.quote(STAGES)} samples/cat.jpg -o run.npy")
    assert Path("piped.npy").read_bytes() == Path("run.npy").read_bytes()


def test_a_folder_streams_through_and_gives_the_bytes_of_run(
    workspace: Path, shell: Runner
) -> None:
    folder_of_images(workspace / "many", 12)
    shell(ARRAYS.format("many", "piped/"))
    shell(f"featcli run {shlex.quote(STAGES)} many -o run/")
    assert len(names(workspace / "piped")) == 12 * 3 + 1
    arrays = sorted((workspace / "run").glob("*.npy"))
    for path in arrays:
        assert path.read_bytes() == (workspace / "piped" / path.name).read_bytes()
    assert len(arrays) == 12


def test_the_stream_of_a_pipe_is_that_of_run(workspace: Path, shell: Runner) -> None:
    script = "featcli split-channels small.png -o - | featcli convolve -k vertical -o - | sha1sum"
    piped = shell(script)
    run = shell("featcli run 'split-channels | convolve vertical' small.png -o - | sha1sum")
    assert piped.stdout == run.stdout


def test_the_second_process_works_before_the_first_has_finished(
    workspace: Path,
) -> None:
    featcli = [sys.executable, "-m", "featcli"]
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment()}
    with (
        subprocess.Popen([*featcli, "convolve", "-k", "vertical", "-o", "-"], **piped) as first,
        subprocess.Popen([*featcli, "relu"], **piped | {"stdin": first.stdout}) as second,
    ):
        first.stdout.close()
        first.stdin.write(b"gray.png\n")
        first.stdin.flush()
        # Nothing more is sent until the second process has given this result.
        assert second.stdout.readline() == b"gray.vertical.relu.npy\n"
        assert first.poll() is None
        first.stdin.write(b"small.png\n")
        first.stdin.close()
        assert second.stdout.read() == b"small.vertical.relu.npy\n"
    assert (first.returncode, second.returncode) == (0, 0)


def peak_memory(folder: Path) -> int:
    """Largest resident size, in KiB, of a process that reads this folder's images from a pipe."""
    script = (
        "import resource, subprocess, sys; f = [sys.executable, '-m', 'featcli']\n"
        f"a = subprocess.Popen([*f, 'relu', {str(folder)!r}, '-o', '-'], stdout=subprocess.PIPE)\n"
        "b = subprocess.run([*f, 'pool', '-o', '-'], stdin=a.stdout, stdout=subprocess.DEVNULL)\n"
        "a.stdout.close(); assert (a.wait(), b.returncode) == (0, 0)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment())
    return int(done.stdout)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(workspace: Path) -> None:
    pytest.importorskip("resource")
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    for count in (20, 400):
        folder_of_images(workspace / str(count), 0)
        Image.fromarray(image).save(workspace / "first.png")
        for number in range(count):
            os.link(workspace / "first.png", workspace / str(count) / f"{number}.png")
    # 380 images more are 18 MB more of pixels; a tenth of them may go into names and slack.
    assert peak_memory(workspace / "400") < peak_memory(workspace / "20") + 6_000


def test_tar_lists_the_stream(workspace: Path, shell: Runner) -> None:
    result = shell("featcli convolve gray.png small.png -k vertical -o - | tar tf -")
    assert result.stdout.splitlines() == ["gray.json", "gray.npy", "small.json", "small.npy"]


def test_tar_unpacks_the_stream_into_ordinary_files(workspace: Path, shell: Runner) -> None:
    shell("mkdir out; featcli split-channels small.png -o - | tar xf - -C out")
    assert names(workspace / "out") == {"small.json", *(f"small.{c}.npy" for c in "RGB")}
    red = np.asarray(Image.open("small.png"))[:, :, :1]
    assert np.array_equal(np.load("out/small.R.npy"), red)


def test_a_tar_that_others_made_is_read(workspace: Path, shell: Runner) -> None:
    result = shell("tar cf - gray.png small.png | featcli convolve -k vertical")
    assert result.stdout.splitlines() == ["gray.vertical.npy", "small.vertical.npy"]


@pytest.mark.parametrize(
    "command",
    ["convolve samples/cat.jpg -k vertical -o -", "show samples/cat.jpg --width 1000", "--help"],
)
def test_a_reader_that_leaves_ends_the_writer_quietly(
    workspace: Path, shell: Runner, command: str
) -> None:
    before = names(workspace)
    result = shell(f"featcli {command} | (exec <&-; sleep 1); echo ${{PIPESTATUS[@]}}")
    assert codes(result) == [141, 0]
    assert not result.stderr
    assert names(workspace) == before


def test_head_ends_a_chain_quietly(workspace: Path, shell: Runner) -> None:
    script = (
        "featcli convolve samples/cat.jpg -k vertical -o - | featcli relu -o - "
        "| head -c1 >/dev/null; echo ${PIPESTATUS[@]}"
    )
    result = shell(script)
    assert codes(result)[1:] == [141, 0]
    assert not result.stderr


@pytest.mark.parametrize("kept", [700, 1536, 60_000])
def test_a_truncated_stream_is_an_error(
    workspace: Path, shell: Runner, inline: Runner, kept: int
) -> None:
    stream = inline("convolve", "photo.jpg", "-k", "vertical", "-o", "-", binary=True).stdout
    before = names(workspace)
    result = inline("relu", stdin=stream[:kept])
    assert_refused(result, 1, "truncated")
    assert names(workspace) == before


def test_a_stream_cut_at_the_end_of_an_entry_is_truncated(workspace: Path, inline: Runner) -> None:
    stream = inline("relu", "gray.png", "-o", "-", binary=True).stdout
    result = inline("pool", "-o", "out", stdin=stream.rstrip(b"\0") + bytes(-len(stream) % 512))
    assert result.returncode == 1
    assert "truncated" in result.stderr


def test_a_truncated_stream_fails_all_that_follow(workspace: Path, shell: Runner) -> None:
    script = (
        "featcli convolve photo.jpg -k vertical -o - | head -c 100000 | featcli relu -o - "
        "| featcli pool -o out; echo ${PIPESTATUS[@]}"
    )
    result = shell(script)
    assert codes(result)[2:] == [1, 1]
    # The first says what is broken, the second that its input tells of it and has no end.
    assert len(result.stderr.splitlines()) == 4
    assert names(workspace / "out") == {"manifest.jsonl"}


def test_a_failure_travels_on_and_the_last_command_knows(workspace: Path, shell: Runner) -> None:
    Path("broken.png").write_bytes(Path("photo.jpg").read_bytes()[:300])
    script = (
        "featcli convolve broken.png gray.png -k vertical -o - | featcli relu -o - "
        "| featcli pool; echo ${PIPESTATUS[@]}"
    )
    result = shell(script)
    assert result.stdout.splitlines() == ["gray.vertical.relu.max2.npy", "1 1 1"]
    assert "featcli pool: broken.png: " in result.stderr
    assert "featcli pool: 1 done, 0 skipped, 1 failed" in result.stderr


def test_nothing_on_standard_input_is_an_error(workspace: Path, inline: Runner) -> None:
    assert_refused(inline("relu", stdin=b""), 1, "nothing came in on standard input")


def test_one_image_on_standard_input(workspace: Path, inline: Runner) -> None:
    result = inline("relu", stdin=Path("gray.png").read_bytes())
    assert result.stdout == "stdin.relu.npy\n"
    gray = np.asarray(Image.open("gray.png"))
    assert np.array_equal(np.load("stdin.relu.npy")[:, :, 0], gray)


def test_one_array_on_standard_input(workspace: Path, inline: Runner) -> None:
    data = io.BytesIO()
    np.save(data, np.arange(-6, 6, dtype=np.float32).reshape(3, 4))
    assert inline("relu", stdin=data.getvalue()).stdout == "stdin.relu.npy\n"
    assert np.load("stdin.relu.npy").min() == 0


def test_an_image_flows_through_bare_formats(workspace: Path, shell: Runner) -> None:
    script = (
        "featcli gray small.png -o - --format npy | python -c "
        "'import sys, io, numpy; print(numpy.load(io.BytesIO(sys.stdin.buffer.read())).shape)'"
    )
    assert shell(script).stdout == "(6, 8, 1)\n"
    shown = shell("featcli relu < small.png -o - --format png", binary=True).stdout
    assert np.array_equal(Image.open(io.BytesIO(shown)), Image.open("small.png"))


def test_a_list_of_one_path_without_an_end_of_line(workspace: Path, inline: Runner) -> None:
    assert inline("relu", stdin="gray.png").stdout == "gray.relu.npy\n"


def test_a_list_whose_first_file_is_missing_says_so(workspace: Path, inline: Runner) -> None:
    result = inline("relu", stdin="nofile.png\ngray.png\n")
    assert_refused(result, 1, "its first line is not an existing file: 'nofile.png'")


def test_a_missing_file_further_down_fails_alone(workspace: Path, inline: Runner) -> None:
    result = inline("relu", stdin="gray.png\nnofile.png\nsmall.png\n")
    assert result.returncode == 1
    assert result.stdout.splitlines() == ["gray.relu.npy", "small.relu.npy"]
    assert result.stderr.splitlines()[0].startswith("featcli relu: nofile.png: ")


def slowly(featcli_arguments: list[str], pieces: list[bytes]) -> bytes:
    """Feed a process piece by piece, each pushed through before the next."""
    command = [sys.executable, "-m", "featcli", *featcli_arguments]
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment()}
    with subprocess.Popen(command, **piped) as process:
        for piece in pieces:
            process.stdin.write(piece)
            process.stdin.flush()
        return process.communicate()[0]


def test_a_tar_whose_first_name_exists_is_no_list(workspace: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add("gray.png")
    stream = data.getvalue()
    for cut in (8, 9, 10, 200):  # "gray.png" has eight bytes, then NULs follow
        pieces = [stream[:cut], stream[cut:]]
        assert slowly(["relu", "-o", f"out{cut}"], pieces) == f"out{cut}/gray.relu.npy\n".encode()


def test_the_first_name_of_a_tar_is_no_list_however_little_has_come() -> None:
    from featcli.batch.peeking import first_bytes

    here = Path(__file__)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(here, str(here).lstrip("/")[-90:])

    class Dripping(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            return self.read(1)

    assert not first_bytes(Dripping(data.getvalue()))[1]
    assert first_bytes(Dripping(str(here).encode() + b"\n"))[1]
    assert first_bytes(Dripping(str(here).encode() + b"\0"))[1]


def test_process_substitution_is_read_like_standard_input(workspace: Path, shell: Runner) -> None:
    image = shell("featcli gray <(cat small.png) -o - --format npy", binary=True)
    assert image.stdout.startswith(b"\x93NUMPY")
    listed = shell("featcli gray <(ls gray.png small.png)")
    assert listed.stdout.splitlines() == ["gray.gray.npy", "small.gray.npy"]


def test_a_tar_file_is_known_by_its_bytes(workspace: Path, inline: Runner) -> None:
    inline("relu", "gray.png", "small.png", "-o", "both.tar")
    Path("both.tar").rename("both")
    assert inline("pool", "both").stdout.splitlines() == [
        "gray.relu.max2.npy",
        "small.relu.max2.npy",
    ]
