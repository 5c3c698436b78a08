"""info, show, kernels, run --print-shell, help, version and completion."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import portable
import pytest
from conftest import Runner, assert_refused, environment

from featcli import __version__, kernels
from featcli._index import COMMANDS, STAGES
from featcli.cli.command import GROUPS

pty = portable.module("pty")

HEAVY = ("numpy", "scipy", "PIL", "rich")


def modules_after(*arguments: str) -> set[str]:
    """The top-level modules that a process has loaded when the command has run."""
    code = (
        "import sys\nfrom featcli.cli.main import main\ntry: main(sys.argv[1:])\n"
        "except SystemExit: print(*{m.split('.')[0] for m in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment()
    )
    assert done.stdout
    return set(done.stderr.split())


def on_a_terminal(*arguments: str, rows: int = 24, **env: str) -> str:
    """What a process writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    how = environment(TERM="xterm-256color", COLUMNS="80", LINES=str(rows), **env)
    command = [sys.executable, "-m", "featcli", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=how) as process:
        os.close(theirs)
        pieces = []
        try:
            while piece := os.read(ours, 1 << 16):
                pieces.append(piece)
        except OSError:  # Linux ends the terminal of a process that is gone so
            pass
    os.close(ours)
    assert process.returncode == 0
    return b"".join(pieces).decode()


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(workspace: Path, option: str) -> None:
    assert modules_after(option).isdisjoint(HEAVY)


def test_a_small_convolution_loads_only_what_it_needs(workspace: Path) -> None:
    loaded = modules_after("convolve", "gray.png", "-k", "vertical", "--cells", "off")
    required = "import sys, click, numpy, PIL.PngImagePlugin, PIL.JpegImagePlugin"
    code = f"{required}; print(*{{m.split('.')[0] for m in sys.modules}})"
    brought = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert "numpy" in loaded
    assert "scipy" not in loaded
    # The recipe, kernel files, quotes in a pipeline, paths; batches and tables would bring more.
    few = {"featcli", "json", "tomllib", "shlex", "pathlib", "urllib", "ipaddress", "ntpath"}
    few |= {"dataclasses", "copy", "glob", "fnmatch", "bisect", "heapq", "difflib", "gc"}
    few |= {"grp", "pwd"}  # which pathlib brings from Python 3.14 on
    extra_fast = {"simplejpeg", "cython_runtime"}
    new = {name for name in loaded - brought if not name.startswith("_")}
    assert new <= few | extra_fast


def test_the_module_and_its_version(workspace: Path, featcli: Runner, shell: Runner) -> None:
    assert featcli("--version").stdout == f"featcli {__version__}\n"
    assert shell("featcli -h").stdout == featcli("--help").stdout


def test_the_help_names_every_command(inline: Runner) -> None:
    text = inline("--help").stdout
    for name in STAGES | COMMANDS:
        assert f"\n  {name} " in text


@pytest.mark.parametrize("name", list(STAGES | COMMANDS))
def test_a_commands_help_fits_and_explains_everything(name: str, inline: Runner) -> None:
    lines = inline(name, "--help").stdout.splitlines()
    prose = lines[: lines.index("Examples:")]
    assert max(map(len, prose)) <= 80
    titles = [line for line in prose if line.endswith(":") and line[0] != " "]
    order = [f"{group}:" for group in GROUPS]
    assert titles == [title for title in order if title in titles]
    assert titles[0] == "Arguments:"
    assert prose[prose.index("Arguments:") + 1][26:].strip()
    assert any("featcli" in line for line in lines[len(prose) :])


def test_info_says_what_a_file_holds(workspace: Path, inline: Runner) -> None:
    inline("convolve", "gray.png", "-k", "vertical")
    lines = dict(
        line.split(maxsplit=1)
        for line in inline("info", "gray.vertical.npy").stdout.splitlines()
        if line.startswith("  ")
    )
    data = np.load("gray.vertical.npy")
    assert lines["shape"] == "6x8x1 (rows x cols x channels)"
    assert lines["type"] == "float32"
    assert lines["range"] == f"{data.min():g} to {data.max():g}"
    assert lines["labels"] == "vertical.gray"
    assert lines["history"] == "convolve --kernel vertical"
    assert lines["source"] == "gray.png"


def test_info_as_json(workspace: Path, inline: Runner) -> None:
    np.save("x.npy", np.array([[1.0, np.nan], [np.inf, 3.0]]))
    found = json.loads(inline("info", "x.npy", "--json").stdout)
    assert (found["shape"], found["dtype"]) == ([2, 2, 1], "float64")
    assert (found["nan"], found["inf"]) == (1, 1)
    assert (found["min"], found["max"], found["mean"]) == (1.0, 3.0, 2.0)


def test_info_of_nothing_but_nan(workspace: Path, inline: Runner) -> None:
    np.save("x.npy", np.full((2, 2), np.nan))
    assert "range    none to none" in inline("info", "x.npy").stdout
    assert json.loads(inline("info", "x.npy", "--json").stdout)["mean"] is None


def test_info_of_a_folder_and_of_a_stream(workspace: Path, inline: Runner) -> None:
    assert inline("info", "samples").stdout.count("  shape ") == 13
    stream = inline("split-channels", "small.png", "-o", "-", binary=True).stdout
    heads = [line for line in inline("info", stdin=stream).stdout.splitlines() if line[0] != " "]
    assert heads == ["small.R", "small.G", "small.B"]


def test_info_goes_on_after_a_broken_file(workspace: Path, inline: Runner) -> None:
    Path("text.png").write_text("no picture")
    result = inline("info", "text.png", "gray.png")
    assert result.returncode == 1
    assert "text.png: not an image" in result.stderr
    assert "6x8x1" in result.stdout


def test_versions_for_a_bug_report(inline: Runner) -> None:
    found = json.loads(inline("info", "--versions", "--json").stdout)
    assert found["featcli"] == __version__
    assert {"python", "numpy", "scipy", "pillow", "click", "rich", "system"} <= found.keys()
    assert inline("info", "--versions").stdout.startswith("featcli ")


def test_show_prints_the_matrix_of_a_digit(workspace: Path, inline: Runner) -> None:
    lines = inline("show", "one.png", "--values").stdout.splitlines()
    assert lines[0].startswith("one.png: 6x6x1 uint8, 0 to 1, mean 0.1944")
    assert lines[1:] == ["0 0 0 1 0 0", "0 0 1 1 0 0", *["0 0 0 1 0 0"] * 4]


def test_show_names_the_channels_of_which_it_prints_values(workspace: Path, inline: Runner) -> None:
    lines = inline("show", "small.png", "--values").stdout.splitlines()
    assert [line for line in lines if line.endswith(":")] == ["R:", "G:", "B:"]
    inline("flatten", "gray.png")
    column = inline("show", "gray.flatten.npy", "--values").stdout.splitlines()[1:]
    assert [int(line) for line in column] == np.load("gray.flatten.npy").tolist()


def test_show_draws_in_the_colours_of_the_picture(workspace: Path) -> None:
    text = on_a_terminal("show", "one.png", COLORTERM="truecolor")
    assert "▀" in text
    assert "38;2;255;255;255" in text
    assert "48;2;0;0;0" in text


def test_show_fits_the_terminal(workspace: Path) -> None:
    text = on_a_terminal("show", "photo.jpg", rows=15, COLORTERM="truecolor")
    assert len(text.splitlines()) <= 14
    assert max(line.count("▀") for line in text.splitlines()) <= 80


def test_show_draws_without_colours_where_there_are_none(workspace: Path, inline: Runner) -> None:
    text = on_a_terminal("show", "one.png", "--width", "12", NO_COLOR="1")
    assert "▀" not in text
    piped = inline("show", "one.png", "--width", "12").stdout
    assert piped.splitlines()[1:] == text.splitlines()[1:]
    assert [line.strip() for line in piped.splitlines()[1:]] == ["@@", "@@@@", *["@@"] * 4]


def test_show_puts_many_maps_side_by_side(workspace: Path, inline: Runner) -> None:
    inline("convolve", "small.png", "-k", "vertical", "-k", "horizontal", "-k", "sharpen")
    lines = inline("show", "small.vertical+horizontal+sharpen.npy").stdout.splitlines()
    assert lines[1].split() == ["vertical.R", "vertical.G", "vertical.B"]
    assert any(line.split() == [f"horizontal.{c}" for c in "RGB"] for line in lines)
    assert lines[-1] == "... and 3 more channels"


def test_show_of_a_vector_and_of_nan(workspace: Path, inline: Runner) -> None:
    np.save("v.npy", np.array([1.0, np.nan, -3.0, np.inf]))
    result = inline("show", "v.npy")
    assert (result.returncode, result.stderr) == (0, "")
    assert ", 1 NaN" in result.stdout.splitlines()[0]


def test_the_list_of_kernels(inline: Runner) -> None:
    text = inline("kernels").stdout
    names = [line.split()[0] for line in text.splitlines() if line and line[0] != " "]
    assert set(kernels.names()) <= set(names)
    assert "gaussian:sigma=...[,size=...]" in text
    found = json.loads(inline("kernels", "--json").stdout)
    assert [one["name"] for one in found] == list(kernels.names())
    assert all(one["shows"] and one["citation"] for one in found)


def test_a_kernel_is_drawn_with_its_meaning(inline: Runner) -> None:
    text = inline("kernels", "vertical").stdout
    assert text.count("-1   0   1") == 3
    assert "Source: " in text
    assert "The numbers sum to 0." in text


def test_a_kernel_has_colours_on_a_terminal() -> None:
    text = on_a_terminal("kernels", "vertical", COLORTERM="truecolor")
    assert "48;2;255;255;255m  1" in text
    assert "48;2;0;0;0m -1" in text


def test_formulas_rows_and_files_are_kernels(workspace: Path, inline: Runner) -> None:
    Path("mine.csv").write_text("1,2\n3,4\n")
    found = [
        json.loads(line)
        for line in inline("kernels", "box:2", "-1 0 1", "mine.csv", "--json").stdout.splitlines()
    ]
    assert found[0]["values"] == [[0.25, 0.25], [0.25, 0.25]]
    assert found[1]["values"] == [[-1, 0, 1]]
    assert found[2]["values"] == [[1, 2], [3, 4]]
    assert "(41x41)" in inline("kernels", "gaussian:sigma=5").stdout


def test_print_shell_gives_the_same_bytes(workspace: Path, inline: Runner, shell: Runner) -> None:
    Path("it's.png").write_bytes(Path("small.png").read_bytes())
    Path("-x.png").write_bytes(Path("gray.png").read_bytes())
    stages = "convolve '-1 0 1; -2 0 2' sobel-y --stride 2 | relu | pool 2 --kind mean | flatten"
    tail = ["--unit", "--no-sidecar", "-j", "1", "--", "it's.png", "-x.png"]
    script = inline("run", stages, "-o", "a/", "--print-shell", *tail).stdout
    assert script.count(" | ") == 3
    piped = shell(script)
    expected = "featcli flatten: 2 done, 0 skipped, 0 failed\n"
    assert (piped.returncode, piped.stderr) == (0, expected)
    run = inline("run", stages, "-o", "b/", *tail)
    assert run.stdout == piped.stdout.replace("a/", "b/")
    for name in run.stdout.splitlines():
        assert Path(name).read_bytes() == Path(name.replace("b/", "a/")).read_bytes()
    assert not list(Path("a").glob("*.json"))
    assert "--jobs 1" in script


def test_print_shell_of_one_stage(workspace: Path, inline: Runner) -> None:
    assert inline("run", "relu", "gray.png", "--print-shell").stdout == "featcli relu gray.png\n"
    words = ["run", "relu", "gray.png", "-o", "-", "--format", "png", "--print-shell"]
    assert inline(*words).stdout == "featcli relu gray.png --output - --format png\n".replace(
        "gray.png --output - --format png", "--output - --format png gray.png"
    )


def test_the_shell_completes_commands_options_and_choices(shell: Runner) -> None:
    def complete(words: str, number: int) -> list[str]:
        env = {"_FEATCLI_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        return shell("featcli", env=env).stdout.splitlines()

    assert "_featcli_completion" in shell("_FEATCLI_COMPLETE=bash_source featcli").stdout
    assert complete("featcli convo", 1) == ["plain,convolve"]
    assert complete("featcli convolve --pad", 2) == ["plain,--padding"]
    assert complete("featcli convolve --padding v", 3) == ["plain,valid"]
    assert complete("featcli convolve ph", 2) == ["file,ph"]


def test_info_names_the_file_and_tells_what_a_picture_of_featclis_shows(workspace, inline):
    inline("convolve", "gray.png", "-k", "vertical", "--view", "minmax")
    data = np.load("gray.vertical.npy")
    text = inline("info", "gray.vertical.png", "gray.vertical.npy").stdout
    assert text.splitlines()[0] == "gray.vertical.png"
    assert "gray.png: convolve --kernel vertical; minmax" in text
    assert "\ngray.vertical.npy\n" in text
    drawn = json.loads(inline("info", "gray.vertical.png", "--json").stdout)["drawn"]
    assert (drawn["lo"], drawn["hi"]) == (data.min(), data.max())
    assert "drawn" not in json.loads(inline("info", "gray.png", "--json").stdout)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["run", "convolve", "vertical", "gray.png"], 'featcli run "convolve vertical" FILE'),
        (["run", "gray.png", "relu"], "the pipeline comes first"),
        (["run", "pool max", "gray.png"], "did you mean --kind max?"),
        (["pool", "max", "gray.png"], "did you mean --kind max?"),
        (["pool", "2", "gray.png"], "did you mean --size 2?"),
        (["split", "gray.png"], "did you mean split-channels?"),
    ],
)
def test_what_was_meant_is_said(workspace, inline, words, hint):
    result = inline(*words)
    assert result.returncode == 2
    assert hint in result.stderr


def test_an_error_names_the_file_that_was_given(workspace, inline):
    inline("flatten", "gray.png")
    assert "gray.flatten.npy: pool takes maps" in inline("pool", "gray.flatten.npy").stderr


def test_a_tar_without_an_entry_is_an_error(workspace, inline):
    empty = bytes(10240)
    Path("empty.tar").write_bytes(empty)
    for result in (inline("relu", "empty.tar"), inline("relu", stdin=empty)):
        assert result.returncode == 1
        assert "no image or array in the input" in result.stderr


@pytest.mark.parametrize("name", list(STAGES | COMMANDS))
def test_a_forgotten_name_of_an_output_is_not_the_next_option(name, workspace, inline):
    command = importlib.import_module("featcli.cli.main").Root().get_command(None, name)
    if all(param.name != "output" for param in command.params):
        pytest.skip("writes no results")
    words = ["relu"] if name == "run" else []
    for forgotten in ("--quiet", ""):
        done = inline(name, *words, "photo.jpg", "-o", forgotten)
        assert_refused(done, 2, "'-o'")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["info", "show", "explain -o page.html", "relu", "classify"])
def test_a_closed_standard_input_is_no_input(command, workspace, shell):
    assert shell(f"featcli {command} photo.jpg <&-").returncode == 0
    done = shell(f"featcli {command} <&-")
    assert_refused(done, 2, "no input")


def test_views_and_colours_of_the_options_are_those_that_there_are():
    from featcli.cli import options
    from featcli.view import colour, mapping

    assert set(options.VIEWS) == set(mapping.VIEWS)
    assert set(options.CMAPS) == set(colour.CMAPS)
