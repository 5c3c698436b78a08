"""Which tests are left out on Windows and macOS, and that all modules of tests load there."""

from __future__ import annotations

import ast
import os
import re
import signal
from pathlib import Path

import portable
import pytest

TESTS = Path(__file__).resolve().parent
SCRIPT = """
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""


def at_import(path: Path) -> str:
    """Return the code that runs when a module is imported: all but the bodies of functions."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = [ast.Pass()]
    return "\n".join(
        ast.unparse(node)
        for node in tree.body
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant))
    )


@pytest.mark.parametrize(
    "path",
    sorted(TESTS.rglob("*.py")),
    ids=lambda path: path.relative_to(TESTS).as_posix(),
)
def test_modules_of_tests_load_where_the_system_is_windows(path):
    if path.name not in ("portable.py", "test_portable.py"):
        found = re.search(portable.CODE, at_import(path))
        assert found is None, f"{found[0]}: portable.module() imports it where it is to be had"


def stopped() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def stopping():
    return stopped


def with_nothing():
    assert Path("x") != Path("y")


def with_a_script():
    assert "kill" in SCRIPT


def with_a_function():
    assert callable(stopped)


@pytest.mark.parametrize(
    ("function", "expected"),
    [(with_nothing, ""), (with_a_script, "os.kill"), (with_a_function, "os.kill")],
)
def test_a_test_needs_what_the_code_that_it_uses_names(function, expected, request):
    item = pytest.Function.from_parent(request.node.parent, name="x", callobj=function)
    assert portable.needs(item, "win32") == expected
    assert portable.needs(item, "darwin") == ""


def test_a_test_needs_what_its_fixtures_need(stopping, request):
    assert portable.needs(request.node, "win32") == "os.kill"


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("signal.SIGKILL", "signal.SIGKILL"),
        ("signal.SIGTERM, signal.SIG_IGN", ""),
        ("import os, resource", "import os, resource"),
        ("process.send_signal(signal.SIGINT)", "send_signal("),
        ("a resource of mine", ""),
    ],
)
def test_what_windows_has_not_is_found_in_code(text, lacking):
    found = portable.WINDOWS.search(text)
    assert (found[0] if found else "") == lacking


def test_nothing_is_left_out_on_linux(request):
    before = list(request.node.iter_markers("skip"))
    portable.skip_what_is_lacking([request.node], "linux")
    assert list(request.node.iter_markers("skip")) == before
    assert portable.LACKING.keys() == {"win32", "darwin"}
