"""What users of a command line expect: help, completion, usage as data, man pages, exit codes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Runner, assert_refused

from featcli._index import COMMANDS, STAGES
from featcli.cli.environment import REMOVED, VARIABLES
from featcli.errors import EXIT_CODES

ROOT = Path(__file__).resolve().parent.parent
MAN = ROOT / "docs" / "man"
NAMES = list(STAGES | COMMANDS)


@pytest.mark.parametrize("name", ["relu", "run", "help"])
def test_help_of_a_command_is_what_its_option_shows(name: str, inline: Runner) -> None:
    assert inline("help", name).stdout == inline(name, "--help").stdout


def test_help_alone_is_the_list_and_a_misspelled_name_is_refused(inline: Runner) -> None:
    assert inline("help").stdout == inline("--help").stdout
    assert_refused(inline("help", "convole"), 2, "no command 'convole'", "convolve")


def complete(shell: Runner, *words: str) -> list[str]:
    """Complete the last word by the script that is printed, as bash does."""
    listed = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    script = f"""
        compopt() {{ echo "$2"; }}
        eval "$(featcli completion bash)"
        COMP_WORDS=({listed}) COMP_CWORD={len(words) - 1}
        _featcli_completion featcli
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = shell(script)
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("convolve", "a.png", "-k", "vert"), ["vertical"]),
        (("convolve", "a.png", "-k", "gaussian:"), ["gaussian:"]),
        (("kernels", "sobel-x"), ["sobel-x"]),
        (("explain", "a.png", "--model", "zero"), ["zero-one"]),
        (("evaluate", "dig"), ["digits"]),
        (("features", "a.png", "--model", "zero-one", "--layer", "h"), ["hidden"]),
        (("train", "dig"), ["digits"]),
        (("help", "split"), ["split-channels"]),
        (("run", '"conv'), ["convolve"]),
        (("run", '"convolve vert'), ["convolve vertical"]),
        (("run", '"gray | convolve vertical | flat'), ["gray | convolve vertical | flatten"]),
        (("run", '"gray|poo'), ["gray|pool"]),
        (("run", '"pool 2 --kind mi'), ["pool 2 --kind min"]),
        (("run", '"pool 2 --ki'), ["pool 2 --kind"]),
        (("run", '"feature-m'), ["feature-maps"]),
        (("run", '"features di'), ["features digits"]),
        (("run", '"feature-maps digits --layer conv3'), ["feature-maps digits --layer conv3"]),
        (("feature-maps", "a.png", "--model", "zero"), ["zero-one"]),
        (("feature-maps", "a.png", "-m", "zero-one", "--layer", "h"), ["hidden"]),
    ],
)
def test_a_shell_is_offered_what_the_program_knows(words, offered, shell: Runner) -> None:
    assert complete(shell, "featcli", *words) == offered


@pytest.mark.parametrize(
    "words",
    [
        ("run", '"nonsense vert'),
        ("run", "\"convolve '1 2"),
        ("features", "a.png", "--model", "there-is-none", "--layer", "h"),
        ("feature-maps", "a.png", "--model", "there-is-none", "--layer", "h"),
        ("run", '"feature-maps there-is-none --layer h'),
    ],
)
def test_what_cannot_be_known_offers_nothing_and_prints_no_error(words, shell: Runner) -> None:
    assert complete(shell, "featcli", *words) in ([], [""])


def test_lists_of_paths_are_completed_as_files(workspace: Path, shell: Runner) -> None:
    env = {"_FEATCLI_COMPLETE": "bash_complete", "COMP_CWORD": "3"}
    env["COMP_WORDS"] = "featcli relu --from-file li"
    assert shell("featcli", env=env).stdout == "file,li\n"


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_of_every_shell_calls_featcli(name: str, inline: Runner) -> None:
    script = inline("completion", name).stdout
    assert f"_FEATCLI_COMPLETE={name}_complete" in script
    if found := shutil.which(name):
        subprocess.run([found, "-n", "-c", script], check=True)


def test_a_shell_that_there_is_not_is_refused(inline: Runner) -> None:
    assert_refused(inline("completion", "tcsh"), 2, "'tcsh'", "bash")


def test_the_usage_as_json_has_every_command_with_types_and_defaults(inline: Runner) -> None:
    usage = json.loads(inline("--json-usage").stdout)
    commands = {one["name"]: one for one in usage["commands"]}
    assert list(commands) == NAMES
    options = {name: one for one in commands["convolve"]["options"] for name in one["names"]}
    assert options["--kernel"]["required"] and options["--kernel"]["several"]
    assert options["--stride"]["default"] == 1 and options["--stride"]["metavar"] == "N"
    assert options["--padding"]["choices"] == ["same", "valid"]
    assert options["--jobs"]["type"] == "integer" and options["--jobs"]["default"] is None
    assert options["--background"]["default"] == "white"
    assert options["--verbose"]["type"] == "count"
    assert usage["exit_codes"] == EXIT_CODES


def test_every_command_has_a_man_page_with_its_options_exit_codes_and_variables(
    inline: Runner,
) -> None:
    assert {path.stem for path in MAN.glob("*.1")} == {"featcli", *(f"featcli-{n}" for n in NAMES)}
    for one in json.loads(inline("--json-usage").stdout)["commands"]:
        text = (MAN / f"featcli-{one['name']}.1").read_text("utf-8")
        for option in one["options"]:
            assert option["names"][0].replace("-", "\\-") in text
        for word in (*EXIT_CODES, *VARIABLES):
            assert f"\\fB{word}\\fR" in text.replace("\\-", "-")


def test_every_variable_that_featcli_reads_is_documented() -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "featcli").rglob("*.py"))
    read = set(re.findall(r'"(FEATCLI_[A-Z]+)"', code)) - {"FEATCLI_COMPLETE", *REMOVED}
    assert read <= set(VARIABLES)


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_the_man_pages_have_no_errors_of_markup() -> None:
    for path in MAN.glob("*.1"):
        command = ["groff", "-man", "-Tutf8", "-ww", "-z", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert not done.stderr, (path.name, done.stderr)


def test_versions_for_a_bug_report_are_in_the_version_too(inline: Runner) -> None:
    found = json.loads(inline("--version", "--json").stdout)
    assert found == json.loads(inline("info", "--versions", "--json").stdout)
    assert {"featcli", "python", "numpy", "engine"} <= set(found)


def test_more_v_says_more(workspace: Path, inline: Runner) -> None:
    once = inline("relu", "gray.png", "-v", "--overwrite").stderr.splitlines()
    twice = inline("relu", "gray.png", "-vv", "--overwrite").stderr.splitlines()
    assert set(once) < set(twice)
    assert any(" to " in line and "mean" in line for line in twice)
    assert not any("mean" in line for line in once)


def test_the_types_of_the_usage_are_few_and_their_ranges_those_that_are_enforced(
    workspace: Path, inline: Runner
) -> None:
    """The least and the largest value are taken, and those beyond are refused."""
    usage = json.loads(inline("--json-usage").stdout)
    options = [(command, one) for command in usage["commands"] for one in command["options"]]
    types = {"flag", "count", "choice", "integer", "number", "path", "text"}
    assert {one["type"] for _, one in options} == types
    for command, one in options:
        assert bool(one["choices"]) == (one["type"] == "choice"), one
        assert one["type"] != "text" or not re.fullmatch(r"[a-z]+([|][a-z]+)+", one["metavar"])
        assert one["range"] is None or one["type"] in ("integer", "number")
        step = 1 if one["type"] == "integer" else 0.001
        for name, limit in (one["range"] or {}).items():
            beyond = limit if "exclusive" in name else limit + (step if "max" in name else -step)
            option = f"{max(one['names'], key=len)}={beyond}"
            needed = ["-k", "vertical"] if command["name"] == "convolve" else []
            done = inline(command["name"], *needed, option, "missing.png")
            assert_refused(done, 2, max(one["names"], key=len))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["completion"], "missing argument 'bash|zsh|fish'. Choose from: bash, zsh, fish"),
        (["-v", "gray", "gray.png"], "no such option '-v'; options of a command follow its name"),
        (["--unit", "gray", "x"], "featcli gray --unit ..."),
        (["--json", "gray", "gray.png"], "--json goes with --version"),
        (["--json"], "--json goes with --version"),
        (["nope", "gray"], "no command 'nope'"),
    ],
)
def test_what_stands_before_the_name_of_a_command_is_explained(
    words: list[str], said: str, workspace: Path, inline: Runner
) -> None:
    done = inline(*words)
    assert_refused(done, 2, said)
    assert "\\" not in done.stderr and done.stderr.startswith(
        "featcli completion: " if words == ["completion"] else "featcli: "
    )
    assert "featcli gray: " in inline("gray", "--nope").stderr
