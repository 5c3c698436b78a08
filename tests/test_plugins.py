"""Stages and kernels of other packages: found when asked for, and never in the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import assert_refused

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "featcli-median"
ENTRIES = """\
[featcli.stages]
median = featcli_median:median
gone = there_is_no_such_module:gone
ends = ends_at_once:ends
number = featcli_broken:number
relu = featcli_broken:relu

[featcli.kernels]
knight = featcli_median:KNIGHT
ragged = featcli_broken:RAGGED
vertical = featcli_broken:RAGGED
"""
BROKEN = """\
RAGGED = [[1, 2], [3]]
number = 5

def relu(x):
    return x
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the example and a package of broken plugins are installed."""
    folder = tmp_path / "installed"
    about = folder / "featcli_broken-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: featcli-broken\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRIES)
    (folder / "featcli_broken.py").write_text(BROKEN)
    (folder / "ends_at_once.py").write_text("import sys\nsys.exit('no')\n")
    (folder / "featcli_median").symlink_to(EXAMPLE / "featcli_median")
    return {"PYTHONPATH": str(folder)}


def test_a_plugin_is_a_command_a_step_and_a_kernel(workspace, installed, featcli) -> None:
    assert featcli("median", "gray.png", "--size", "3", env=installed).returncode == 0
    assert Path("gray.median3.npy").is_file()
    text = "median 3 | convolve knight"
    done = featcli("run", text, "gray.png", "small.png", "-o", "out/", "-j", "2", env=installed)
    assert done.returncode == 0, done.stderr
    assert "--size N" in featcli("help", "median", env=installed).stdout
    assert "knight" in featcli("kernels", "knight", env=installed).stdout
    assert featcli("info", "gray.median3.npy").stdout.count("median --size 3")  # without the plugin


def test_the_stage_of_a_plugin_is_completed_once_and_only_if_it_is_one(installed, featcli) -> None:
    for begun, offered in (("med", ["median"]), ("rel", ["relu", "relu6"])):
        words = {"COMP_WORDS": f"featcli {begun}", "COMP_CWORD": "1"}
        env = installed | words | {"_FEATCLI_COMPLETE": "bash_complete"}
        lines = featcli(env=env).stdout.splitlines()
        assert [line.partition(",")[2] for line in lines] == offered


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gone", "gray.png"), "No module named"),
        (("ends", "gray.png"), "SystemExit"),
        (("number", "gray.png"), "not a function under @stage"),
        (("run", "gone", "gray.png"), "No module named"),
        (("convolve", "gray.png", "-k", "ragged"), "not a kernel"),
    ],
)
def test_a_broken_plugin_is_one_line(words, said, workspace, installed, featcli) -> None:
    assert_refused(featcli(*words, env=installed), 2, "featcli-broken 1.0", said)


def test_broken_plugins_do_not_touch_other_commands(workspace, installed, featcli) -> None:
    for words in (("relu", "gray.png"), ("--help",), ("kernels",), ("--version",)):
        done = featcli(*words, env=installed)
        assert done.returncode == 0 and not done.stderr, done
    assert_refused(featcli("mediam", env=installed), 2, "no command 'mediam'")


def test_plugins_are_listed_with_what_keeps_them_from_use(workspace, installed, featcli) -> None:
    done = featcli("plugins", "--json", env=installed)
    rows = {(row["kind"], row["name"]): row for row in json.loads(done.stdout)}
    assert done.returncode == 0 and not done.stderr
    assert rows["stage", "median"]["state"] == rows["kernel", "knight"]["state"] == "used"
    assert rows["stage", "median"]["package"] == "featcli-broken 1.0"
    assert rows["stage", "gone"]["state"].startswith("broken:")
    assert rows["kernel", "ragged"]["state"].startswith("broken:")
    assert rows["stage", "relu"]["state"] == "not used: relu is a built-in name"
    assert rows["kernel", "vertical"]["state"] == "not used: vertical is a built-in name"
    assert featcli("plugins", "knight", env=installed).stdout.count("\n") == 1
    assert_refused(
        featcli("plugins", "rook", env=installed), 2, "no plugin has a stage or kernel rook"
    )
    assert len(featcli("plugins", env=installed).stdout.splitlines()) == len(rows)


def test_a_start_looks_for_no_plugins(workspace: Path) -> None:
    code = (
        "import sys\n"
        "from featcli.cli.main import main\n"
        "try: main(['run', 'convolve vertical | relu', 'gray.png'])\n"
        "except SystemExit: pass\n"
        "print('importlib.metadata' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_a_plugin_cannot_take_the_place_of_a_stage() -> None:
    from featcli.stage import REGISTRY, get, stage

    before = get("relu")
    with pytest.raises(ValueError, match="has a stage 'relu' already"):

        @stage(takes="maps", gives="maps")
        def relu(x):
            return x

    assert REGISTRY["relu"] is before
