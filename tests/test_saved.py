"""Saved pipelines, and variables: nothing outside the command line changes a result."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from conftest import Runner, assert_refused

from featcli.cli import saved_pipelines
from featcli.errors import UsageError


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's configuration folder that holds nothing."""
    folder = tmp_path / "config"
    for name in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


def test_a_saved_pipeline_runs_as_its_text_does(workspace: Path, inline: Runner) -> None:
    text = "convolve vertical | relu"
    assert inline("run", text, "gray.png", "-o", "one/", "--save", "edges").returncode == 0
    done = inline("run", "--saved", "edges", "gray.png", "-o", "two/")
    assert done.returncode == 0 and "edges: convolve vertical | relu" in done.stderr
    files = [path.name for path in Path("one").glob("*.npy")]
    assert files
    for name in files:
        assert (Path("one") / name).read_bytes() == (Path("two") / name).read_bytes()


def test_to_save_without_an_input_runs_nothing(workspace: Path, inline: Runner) -> None:
    before = sorted(Path.cwd().iterdir())
    done = inline("run", "gray|relu", "--save", "one")
    assert done.returncode == 0 and not done.stdout and sorted(Path.cwd().iterdir()) == before
    assert inline("pipelines", "one").stdout.split("  ")[-1].strip() == "gray|relu"


def test_pipelines_are_listed_as_text_and_as_json(workspace: Path, inline: Runner) -> None:
    assert "no pipeline is saved" in inline("pipelines").stderr
    for name, text in (("b", "relu"), ("a", "gray | abs")):
        inline("run", text, "--save", name)
    assert json.loads(inline("pipelines", "--json").stdout) == {"a": "gray | abs", "b": "relu"}
    assert inline("pipelines").stdout.splitlines()[1].split() == ["b", "relu"]
    assert Path(inline("pipelines", "--folder").stdout.strip(), "a.pipeline").is_file()


def test_another_pipeline_of_the_same_name_is_not_replaced_unasked(workspace, inline) -> None:
    inline("run", "relu", "--save", "a")
    assert_refused(inline("run", "abs", "--save", "a"), 2, "saved already: relu", "--overwrite")
    assert inline("run", "abs", "--save", "a", "--overwrite").returncode == 0
    assert inline("run", "abs", "--save", "a").returncode == 0
    assert saved_pipelines.load("a") == "abs"


@pytest.mark.parametrize(
    "name",
    ["", "../a", "a/b", ".a", "-", "-x", "a b", "x" * 61, "\N{SNOWMAN}", "\xfcn", "CON", "lpt1"],
)
def test_a_name_that_is_no_file_s_is_refused(name: str, workspace: Path, inline: Runner) -> None:
    assert_refused(inline("run", "relu", f"--save={name}"), 2, "the name of a pipeline")
    assert_refused(inline("run", f"--saved={name}", "gray.png"), 2, "the name of a pipeline")


def test_what_is_not_saved_or_was_spoiled_is_one_line(workspace: Path, inline: Runner) -> None:
    inline("run", "relu", "--save", "edges")
    assert_refused(inline("run", "--saved", "edge", "gray.png"), 2, "did you mean edges?")
    saved_pipelines.path_of("edges").write_bytes(b"\xff\xfe")
    assert_refused(inline("run", "--saved", "edges", "gray.png"), 2, "edges.pipeline", "text")
    saved_pipelines.path_of("edges").write_text("nonsense")
    done = inline("run", "--saved", "edges", "gray.png", "-q")
    assert_refused(done, 2, "no stage 'nonsense'")
    assert_refused(inline("run"), 2, "--saved NAME")


def spoiled(folder: Path) -> dict[str, str]:
    """Files that are no saved pipelines, and what is said of each."""
    folder.mkdir(parents=True)
    (folder / "bytes.pipeline").write_bytes(b"\xff\xfe\0a")
    (folder / "zeros.pipeline").write_bytes(bytes(100))
    (folder / "huge.pipeline").write_bytes(bytes(5_000_000))
    (folder / "long.pipeline").write_text("gray | " * 100_000)
    (folder / "escape.pipeline").write_text("gray \x1b[31m")
    (folder / "empty.pipeline").write_text(" \n")
    (folder / "folder.pipeline").mkdir()
    os.mkfifo(folder / "fifo.pipeline")
    (folder / "away.pipeline").symlink_to("there-is-none")
    return {
        "bytes": "is not text", "zeros": "control characters", "huge": "is larger than",
        "long": "is larger than", "escape": "control characters", "empty": "is empty",
        "folder": "is not a file", "fifo": "is not a file", "away": "is not a file",
    }  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_files_that_are_no_pipelines_do_not_hide_the_others(workspace, featcli, inline) -> None:
    reasons = spoiled(saved_pipelines.folder())
    (saved_pipelines.folder() / "notepad.pipeline").write_bytes(b"\xef\xbb\xbfgray | relu\r\n")
    for words in ((), ("--json",)):
        done = featcli("pipelines", *words)
        assert done.returncode == 1 and done.stdout.count("gray | relu") == 1, done
        assert "gray | relu" in done.stdout
        lines = done.stderr.splitlines()
        assert len(lines) == len(reasons)
        for name, reason in reasons.items():
            assert any(name in line and reason in line for line in lines)
    for name, reason in reasons.items():
        assert_refused(inline("run", "--saved", name, "gray.png"), 2, name, reason)
        assert_refused(inline("pipelines", name), 2, name, reason)
        assert_refused(inline("run", "relu", "--save", name), 2, name, "--overwrite")
    assert inline("run", "--saved", "notepad", "gray.png").returncode == 0


def test_wrong_usage_saves_nothing_and_a_failed_input_does_not_hinder(workspace, inline) -> None:
    Path("bad.png").write_bytes(b"no picture")
    wrong = (
        ["missing.png"],
        ["gray.png", "--montage", "a.txt"],
        ["gray.png", "--shard-size", "1MB"],
    )
    for words in wrong:
        assert inline("run", "gray | relu", *words, "--save", "m").returncode == 2
        assert not saved_pipelines.names()
    for words, code in ((["bad.png", "small.png"], 1), (["small.png"], 0)):
        assert inline("run", "relu", *words, "--save", "m", "--overwrite").returncode == code
        assert saved_pipelines.load("m") == "relu"
        saved_pipelines.path_of("m").unlink()


@pytest.mark.parametrize(
    ("platform", "end"),
    [
        ("linux", "config/featcli/pipelines"),
        ("darwin", "home/Library/Application Support/featcli/pipelines"),
        ("win32", "config/featcli/pipelines"),
    ],
)
def test_the_folder_is_where_the_platform_keeps_what_users_set(platform, end, monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert saved_pipelines.folder().as_posix().endswith(end)


@pytest.mark.parametrize("words", [("pipelines",), ("run", "relu", "--save", "a")])
def test_a_user_without_a_home_is_one_line(words, workspace, inline, monkeypatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert_refused(inline(*words), 2, "home folder", "set HOME")


def test_a_folder_that_cannot_be_made_is_one_line(
    workspace: Path, inline: Runner, config: Path
) -> None:
    config.write_text("a file")
    assert_refused(inline("run", "relu", "--save", "a"), 1, "cannot write")
    with pytest.raises(UsageError, match="no pipeline is saved"):
        saved_pipelines.load("a")


def test_nothing_outside_the_command_line_changes_a_result(
    workspace: Path, featcli: Runner
) -> None:
    """Variables, saved pipelines and files of names that mean something else."""
    words = ("run", "convolve vertical | relu", "small.png", "photo.jpg")
    assert featcli(*words, "-o", "plain/").returncode == 0
    for name in ("vertical", "relu", "convolve"):
        saved_pipelines.save(name, "abs")
        Path(name).write_text("1 2; 3 4")
    variables = {"FEATCLI_JOBS": "2", "FEATCLI_COLOR": "always", "FEATCLI_PROGRESS": "never"}
    variables |= {"LANG": "de_DE.UTF-8", "LC_ALL": "C", "TZ": "Asia/Tokyo", "COLUMNS": "200"}
    variables |= {"OMP_NUM_THREADS": "7", "PYTHONHASHSEED": "5", "CLICOLOR_FORCE": "1"}
    variables |= {"FEATCLI_VIEW": "abs", "FEATCLI_OVERWRITE": "1", "FEATCLI_UNIT": "1"}
    assert featcli(*words, "-o", "other/", env=variables).returncode == 0
    names = sorted(path.name for path in Path("plain").iterdir() if path.suffix in (".npy", ".png"))
    assert len(names) == 4
    for name in names:
        assert (Path("plain") / name).read_bytes() == (Path("other") / name).read_bytes(), name


def test_only_options_that_change_no_result_have_a_variable(inline: Runner) -> None:
    usage = json.loads(inline("--json-usage").stdout)
    found = {one["variable"] for command in usage["commands"] for one in command["options"]}
    assert found == {None, "FEATCLI_JOBS"}


@pytest.mark.parametrize("command", ["relu", "show", "kernels", "info"])
@pytest.mark.parametrize("name", ["FEATCLI_COLOR", "FEATCLI_JOBS", "FEATCLI_PROGRESS"])
def test_every_command_refuses_other_values_of_variables(
    name, command, inline, monkeypatch
) -> None:
    for value in ("some", "Auto", "0", "9" * 5000):
        monkeypatch.setenv(name, value)
        done = inline(command)
        assert_refused(done, 2, f"{name} must be ", value[-50:])


def test_an_empty_variable_is_as_one_that_is_not_set(workspace, inline, monkeypatch) -> None:
    for name in ("FEATCLI_COLOR", "FEATCLI_JOBS", "FEATCLI_PROGRESS", "FEATCLI_ENGINE"):
        monkeypatch.setenv(name, "")
    assert inline("relu", "gray.png").returncode == 0


def test_the_variable_that_changed_results_is_refused_with_the_option_to_use(
    workspace, inline, monkeypatch
) -> None:
    for value in ("scipy", "SCIPY", "auto"):
        monkeypatch.setenv("FEATCLI_ENGINE", value)
        assert_refused(inline("relu", "gray.png"), 2, "unset FEATCLI_ENGINE", "--engine scipy")


def test_below_the_commands_no_variable_of_featcli_is_read() -> None:
    package = Path(saved_pipelines.__file__).parents[1]
    for path in package.rglob("*.py"):
        read = "FEATCLI_" in path.read_text("utf-8")
        assert (
            not read or path.parent == package / "cli" or path.parts[-3:-1] == ("cli", "commands")
        )


def test_colours_are_as_the_variable_says(workspace: Path, featcli: Runner) -> None:
    shown = {
        value: featcli("show", "gray.png", env={"FEATCLI_COLOR": value}).stdout
        for value in ("auto", "always", "never")
    }
    assert "\x1b[" in shown["always"] and "\x1b[" not in shown["never"]
    assert shown["auto"] == shown["never"]
