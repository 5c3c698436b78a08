"""The house: who may import whom, how long a file may be, and what a start may load."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "featcli"
ROOT = PACKAGE.parent
LONGEST = 400

# What each room may import, besides the standard library and itself. Imports run up this list
# only: a room is never imported by one that stands above it.
ROOMS: dict[str, set[str]] = {
    "_version": set(),
    "_index": set(),
    "errors": set(),
    "budget": {"errors"},
    "cores": set(),
    "system": set(),
    "npy": {"numpy", "errors", "budget"},
    "frame": {"numpy"},
    "trace": {"numpy", "frame"},
    "formulas": {"numpy"},
    "matrices": {"numpy", "budget", "formulas", "npy"},
    "plugins": {"errors"},
    "kernels": {"numpy", "errors", "formulas", "matrices", "plugins"},
    "windows": set(),
    "docstrings": set(),
    "stage": {"numpy", "_index", "docstrings", "errors", "plugins", "windows"},
    "engine": {"numpy", "scipy", "cores"},
    "ops": {"numpy", "PIL", "errors", "budget", "npy", "kernels", "stage", "engine"} | {"windows"},
    "pipeline": {"numpy", "errors", "frame", "plugins", "stage"},
    "large": {"numpy", "errors", "budget", "frame", "stage", "pipeline", "windows"},
    "extras": {"errors"},
    "models": {
        *("numpy", "errors", "extras", "npy", "frame", "trace", "kernels", "stage", "engine"),
        *("ops", "pipeline", "cores", "budget", "system"),
    },
    "view": {"numpy", "PIL", "cores", "engine", "extras", "frame", "trace", "kernels"},
    "io": {
        "numpy",
        "PIL",
        "_version",
        "errors",
        "budget",
        "npy",
        "frame",
        "stage",
        "engine",
        "view",
    }
    | {"extras", "system"},
    "search": {"numpy", "scipy", "cores"},
    "datasets": {"numpy", "errors", "budget", "npy", "io"},
    "training": {"numpy", "errors", "frame", "kernels", "models", "datasets", "io"} | {"view"},
    "serve": {
        *("numpy", "_index", "budget", "errors", "formulas", "frame", "io", "kernels", "matrices"),
        *("models", "pipeline", "stage", "view"),
    },
    "batch": {"numpy", "_version", "errors", "budget", "cores", "frame", "stage", "pipeline", "io"}
    | {"large", "extras", "engine", "PIL"},
}
THIRD_PARTY = {"click", "numpy", "scipy", "PIL", "rich"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Rooms of featcli and packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            whole = node.module == "featcli"
            names = [f"featcli.{name.name}" for name in node.names] if whole else [node.module]
        elif isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            found.add(f"featcli.{rest[0]}" if first == "featcli" and rest else first)
    return found


FILES = sorted(PACKAGE.rglob("*.py"))
ALL_ROOMS = {room_of(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_up_the_list_of_rooms_only(path):
    room = room_of(path)
    if room in ("__init__", "__main__", "cli", "testing"):
        return
    used = {name for name in imports(path) if name in THIRD_PARTY or name.startswith("featcli.")}
    allowed = {name if name in THIRD_PARTY else f"featcli.{name}" for name in ROOMS[room]}
    assert used <= allowed | {f"featcli.{room}"}, f"{room} may not import {used - allowed}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_may_import_only_what_it_uses(room):
    used = {name for path in FILES if room_of(path) == room for name in imports(path)}
    assert {name.removeprefix("featcli.") for name in used} >= ROOMS[room]


def imported_modules(path: Path) -> set[Path]:
    """Modules of featcli that a file imports, wherever in it; a package stands for its __init__."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("featcli"):
            base = ROOT.joinpath(*str(node.module).split("."))
            found |= {base.with_suffix(".py")} | {base / f"{one.name}.py" for one in node.names}
    return found & set(FILES)


@pytest.mark.parametrize("room", ["io", "batch"])
def test_the_modules_of_a_room_import_each_other_in_no_circle(room):
    graph = {path: imported_modules(path) for path in FILES if room_of(path) == room}
    while leaves := [path for path, used in graph.items() if not used & graph.keys()]:
        for path in leaves:
            del graph[path]
    assert not graph, sorted(path.name for path in graph)


def test_click_and_rich_are_imported_in_cli_alone():
    for path in FILES:
        if room_of(path) != "cli":
            assert not imports(path) & {"click", "rich"}, path


def test_no_other_package_is_imported():
    import sys

    known = THIRD_PARTY | set(sys.stdlib_module_names) | {"featcli"}
    known |= {f"featcli.{room}" for room in ALL_ROOMS}
    for path in FILES:
        tools = {"pytest", "hypothesis"} if room_of(path) == "testing" else set()
        assert imports(path) <= known | tools, path


@pytest.mark.parametrize("folder", ["featcli", "tests", "tools", "benchmarks"])
def test_no_file_is_too_long_to_read(folder):
    for path in (PACKAGE.parent / folder).rglob("*.*"):
        if path.suffix not in (".py", ".js", ".css", ".html"):
            continue
        assert len(path.read_text().splitlines()) <= LONGEST, path


def test_no_module_has_the_name_of_a_lazy_export():
    import featcli

    names = set(featcli.__all__)
    for path in PACKAGE.glob("*.py"):
        assert path.stem not in names, path


def test_everything_exported_is_there_and_typed_in_the_stub():
    import featcli

    stub = (PACKAGE / "__init__.pyi").read_text()
    for name in featcli.__all__:
        assert getattr(featcli, name) is not None
    typed = re.findall(r"import \w+ as (\w+)|^(__version__):", stub, re.MULTILINE)
    assert sorted("".join(one) for one in typed) == sorted(featcli.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = featcli.nonsense


def test_the_repository_speaks_of_no_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no clone of the repository")
    machine = re.compile(r"(?<![\w.])/(home|root|work|Users)/\w")
    for name in listed.stdout.splitlines():
        if Path(name).suffix in (".py", ".md", ".toml", ".pyi", ".js", ".html", ".css", ""):
            assert not machine.search((ROOT / name).read_text("utf-8")), name
