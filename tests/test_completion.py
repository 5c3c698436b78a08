"""Completion in real shells, set up as the documentation says on a fresh account."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Result, Runner

DOCS = Path(__file__).resolve().parent.parent / "docs"
COMMA = "convolve gaussian:sigma=2,size=5 | re"
OFFERED = ["relu", "relu6", "resize"]


@pytest.fixture
def account(tmp_path: Path, shell: Runner) -> dict[str, str]:
    """A home folder in which the commands of docs/shell.md were run, with featcli on the PATH."""
    home = tmp_path / "home"
    home.mkdir()
    block = re.search(r"```sh\n(# bash.*?)```", (DOCS / "shell.md").read_text("utf-8"), re.DOTALL)
    assert block
    done = shell(f"set -e\n{block[1]}\necho $PATH", env={"HOME": str(home)})
    assert done.returncode == 0 and not done.stderr, done
    return {"HOME": str(home), "PATH": done.stdout.strip()}


def run_in(name: str, account: dict[str, str], *words: str) -> Result:
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    env = {**os.environ, **account, "TERM": "dumb", "ZDOTDIR": account["HOME"]}
    env.pop("XDG_CONFIG_HOME", None)
    return subprocess.run(
        [name, *words], env=env, capture_output=True, text=True, timeout=120, check=False,
        stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (f'featcli run "{COMMA}', [COMMA[:-2] + name for name in OFFERED]),
        ("featcli convolve a.png -k vert", ["vertical"]),
        ("featcli show a.png --pipeline 'pool 2 --kind mi", ["pool 2 --kind min"]),
        (
            "featcli conver",
            ["convert\tConvert a table of vectors to another file format, or reduce"],
        ),
    ],
)
def test_fish_completes_what_has_commas(typed: str, offered: list[str], account) -> None:
    done = run_in("fish", account, "-c", "complete -C $argv[1]", "--", typed)
    lines = done.stdout.splitlines()
    assert len(lines) == len(offered), done
    assert all(line.startswith(one) for line, one in zip(lines, offered, strict=True))


def test_zsh_loads_the_script_from_its_folder(account) -> None:
    code = "print -r -- ${_comps[featcli]}; autoload +X _featcli && print loaded"
    done = run_in("zsh", account, "-i", "-c", code)
    assert done.stdout.split() == ["_featcli", "loaded"], done


def test_bash_has_the_function_in_an_interactive_shell(account) -> None:
    done = run_in("bash", account, "-i", "-c", "complete -p featcli")
    assert "-F _featcli_completion featcli" in done.stdout, done


def test_the_lines_of_the_help_work_in_start_up_files(tmp_path: Path, account, inline) -> None:
    text = inline("completion", "--help").stdout
    files = r"\.bashrc|\.zshrc|\.config/fish/config\.fish"
    lines = dict(re.findall(rf"^ *~/({files})\s+(.*)$", text, re.MULTILINE))
    assert len(lines) == 3
    for (file, line), (name, asks) in zip(
        lines.items(),
        (("bash", "complete -p featcli"), ("zsh", "print -r -- ${_comps[featcli]}"),
         ("fish", "complete -C 'featcli convolve -k vertic'")),
        strict=True,
    ):  # fmt: skip
        if not shutil.which(name):
            continue
        home = tmp_path / name
        (home / file).parent.mkdir(parents=True)
        (home / file).write_text(line + "\n")
        done = run_in(name, account | {"HOME": str(home)}, "-i", "-c", asks)
        assert "featcli" in done.stdout or "vertical" in done.stdout, done


def completed(shell: Runner, *words: str) -> list[str]:
    env = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    lines = shell("featcli", env=env | {"_FEATCLI_COMPLETE": "bash_complete"}).stdout.splitlines()
    return [line.removeprefix("plain,") for line in lines]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("explain", "a.png", "--pipeline", '"conv'), ["convolve"]),
        (("animate", "a.png", "--pipeline", '"gray|poo'), ["gray|pool"]),
        (("show", "a.png", "--pipeline", '"pool 2 --kind mi'), ["pool 2 --kind min"]),
        (("classify", "a.png", "--preprocessing", '"resi'), ["resize"]),
        (("train", "digits", "--arch", "le"), ["lenet"]),
        (("train", "digits", "--arch", '"conv 6 5 | rel'), ["conv 6 5 | relu", "conv 6 5 | relu6"]),
        (("train", "digits", "--arch", '"conv 6 5 --gro'), ["conv 6 5 --groups"]),
    ],
)
def test_every_option_for_a_pipeline_completes_its_words(words, offered, shell: Runner) -> None:
    assert completed(shell, "featcli", *words) == offered


def test_names_of_layers_that_a_shell_would_run_are_not_offered(
    tmp_path, shell, monkeypatch
) -> None:
    from featcli.cli import completions

    names = ["plain", "/conv1/Conv_output_0", "a::b", "a b", "$(touch x)", "`x`", "a;b", "\x1b[31m"]
    offered = [item.value for item in completions._items(names, "")]
    assert offered == names[:3]
