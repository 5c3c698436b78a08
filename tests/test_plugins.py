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
panics = featcli_panics:panics
skips = skips_at_once:skips
mute = featcli_mute:mute
nothing = not a module
typed = featcli_broken:typed
raises = featcli_broken:raises
lists = featcli_broken:lists
classify = featcli_broken:okay
feature-maps = featcli_broken:okay
info = featcli_broken:okay
okay = featcli_broken:okay
$(touch PWNED) = featcli_broken:okay
a b = featcli_broken:okay
../x = featcli_broken:okay
\x1b[31m = featcli_broken:okay

[featcli.kernels]
gaussian = featcli_median:KNIGHT
1 = featcli_median:KNIGHT
ker nel = featcli_median:KNIGHT
text = featcli_broken:TEXT
odd = featcli_broken:ODD
knight = featcli_median:KNIGHT
ragged = featcli_broken:RAGGED
vertical = featcli_broken:RAGGED
"""
BROKEN = """\
from collections.abc import Mapping

from featcli.stage import stage

RAGGED = [[1, 2], [3]]
number = 5
TEXT = "abc"


class Odd(Mapping):
    __getitem__ = __iter__ = __len__ = None

    def keys(self):
        raise BaseException("odd keys")


ODD = Odd()


@stage(takes="any", gives="same")
def okay(x):
    return x


@stage(takes="any", gives="same")
def typed(x, size: "NoSuchType"):
    return x


class Panic(BaseException):
    pass


@stage(takes="any", gives="same")
def raises(x):
    raise Panic("at work")



@stage(takes="any", gives="same")
def lists(x):
    return x.tolist()


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
    panics = "class PanicException(BaseException):\n    pass\nraise PanicException('no unwrap')\n"
    (folder / "featcli_panics.py").write_text(panics)
    (folder / "skips_at_once.py").write_text("import pytest\npytest.importorskip('nothing_here')\n")
    mute = "class Mute(Exception):\n    def __str__(self):\n        raise OSError\nraise Mute\n"
    (folder / "featcli_mute.py").write_text(mute)
    other = folder / "featcli_other-2.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: featcli-other\nVersion: 2.0\n")
    (other / "entry_points.txt").write_text("[featcli.stages]\nokay = featcli_broken:okay\n")
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
        (("panics", "gray.png"), "PanicException: no unwrap"),
        (("run", "panics", "gray.png"), "PanicException: no unwrap"),
        (("help", "panics"), "PanicException: no unwrap"),
        (("skips", "gray.png"), "Skipped"),
        (("mute", "gray.png"), "Mute"),
        (("nothing", "gray.png"), "'not a module' is not MODULE:OBJECT"),
        (("typed", "gray.png"), "NoSuchType"),
        (("run", "typed 3", "gray.png"), "NoSuchType"),
        (("convolve", "gray.png", "-k", "text"), "not a kernel"),
        (("convolve", "gray.png", "-k", "odd"), "odd keys"),
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
    for name in ("panics", "skips", "mute", "nothing", "typed"):
        assert rows["stage", name]["state"].startswith("broken:")
    for name in ("classify", "feature-maps", "info"):
        assert rows["stage", name]["state"] == f"not used: {name} is a built-in name"
    for name in ("gaussian", "1"):
        assert rows["kernel", name]["state"] == f"not used: {name} is a built-in name"
    for name in ("$(touch PWNED)", "a b", "../x", "\x1b[31m"):
        assert rows["stage", name]["state"].startswith("not used: a name has")
    assert rows["kernel", "ker nel"]["state"].startswith("not used: a name has")
    states = {
        row["package"]: row["state"] for row in json.loads(done.stdout) if row["name"] == "okay"
    }
    assert states["featcli-broken 1.0"] == "used"
    assert states["featcli-other 2.0"].startswith("not used: featcli-broken 1.0 has the same name")
    assert "\x1b" not in featcli("plugins", env=installed).stdout
    assert featcli("plugins", "knight", env=installed).stdout.count("\n") == 1
    assert_refused(
        featcli("plugins", "rook", env=installed), 2, "no plugin has a stage or kernel rook"
    )
    assert len(featcli("plugins", env=installed).stdout.splitlines()) == len(rows) + 1


def test_what_is_said_to_be_used_works_and_nothing_else_does(workspace, installed, featcli) -> None:
    for row in json.loads(featcli("plugins", "--json", env=installed).stdout):
        name, is_used = row["name"], row["state"] == "used"
        if row["package"] != "featcli-broken 1.0" or name in ("median", "raises", "lists"):
            continue
        text = name if row["kind"] == "stage" else f"convolve '{name}'"
        done = featcli("run", text, "gray.png", "-o", f"{len(name)}{name[:1]}/", env=installed)
        built_in = "built-in" in row["state"]
        assert (done.returncode == 0) == is_used or built_in, (row, done)


def test_a_stage_that_fails_at_work_fails_its_input_only(workspace, installed, featcli) -> None:
    done = featcli("raises", "gray.png", "small.png", "-o", "out/", "-j", "1", env=installed)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.count("raises: Panic: at work") == 2
    done = featcli("lists", "gray.png", env=installed)
    assert_refused(done, 1, "lists: the plugin returned list, not an array")


def test_a_signal_during_the_import_of_a_plugin_ends_the_command(
    workspace, installed, featcli
) -> None:
    ends = "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(30)\n"
    (workspace.parent / "installed" / "skips_at_once.py").write_text(ends)
    done = featcli("skips", "gray.png", env=installed)
    assert (done.returncode, done.stderr) == (143, "")


def test_a_package_whose_entry_points_cannot_be_read_does_not_hide_the_others(
    workspace, installed, featcli
) -> None:
    for number, text in enumerate(
        (b"\xff\xfe[", b"no section = a:b\n", b"[featcli.stages]\nalone\n")
    ):
        about = Path(installed["PYTHONPATH"]) / f"bad{number}-1.0.dist-info"
        about.mkdir()
        (about / "entry_points.txt").write_bytes(text)
    done = featcli("plugins", "median", env=installed)
    assert done.returncode == 0 and "used" in done.stdout, done
    assert featcli("median", "gray.png", env=installed).returncode == 0


def test_completion_offers_no_name_that_a_shell_would_run(workspace, installed, featcli) -> None:
    offered = []
    for words, number in (
        ("featcli ", "1"), ('featcli run "gray | ', "2"), ("featcli plugins ", "2"),
        ("featcli convolve -k ", "3"), ('featcli run "convolve ', "2"), ("featcli kernels ", "2"),
    ):  # fmt: skip
        about = {"COMP_WORDS": words, "COMP_CWORD": number, "_FEATCLI_COMPLETE": "bash_complete"}
        offered += featcli(env=installed | about).stdout.splitlines()
    assert {"plain,okay", "plain,knight", "plain,gray | median"} <= set(offered)
    for one in filter(None, offered):
        assert not set("$;&()<>`\\'\"*?[]{}~!#\x1b") & set(one), one
        assert one.endswith("|") or one.rpartition(" ")[2].removeprefix("plain,"), one
    assert not any("ker nel" in one or "../" in one for one in offered)


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
    with pytest.raises(ValueError, match="has a stage or command 'relu' already"):

        @stage(takes="maps", gives="maps")
        def relu(x):
            return x

    assert REGISTRY["relu"] is before
