"""Skips tests that need what the system they run on has not, such as signals on Windows.

A test needs what its code names, and the code of the fixtures, functions, classes and scripts that
it uses. Nothing is skipped on Linux.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from types import ModuleType
from typing import Any

import pytest

MODULES = ("fcntl", "pty", "resource", "termios")
_MODULES = "|".join(MODULES)
# Code that raises an error on Windows, or does something else there.
CODE = (
    r"\bos\.(fork|geteuid|getuid|getpgid|getpgrp|kill|killpg|mkfifo|openpty|setsid|statvfs|waitpid)\b"
    r"|\bsignal\.(SIG(?!INT|TERM|ABRT|SEGV|FPE|ILL|_)[A-Z]\w+|pthread_\w+|alarm|setitimer)\b"
    r"|\bsend_signal\(|\bpreexec_fn\b|\bstart_new_session\b|\.chmod\(|\bAF_UNIX\b|\"bash\""
    rf"|\b({_MODULES})\.\w|\bimport [\w, ]*\b({_MODULES})\b"
)
WINDOWS = re.compile(rf"{CODE}|/proc/\w|/dev/(full|zero|null|tty)\b")
MACOS = re.compile(r"/proc/\w|/dev/full\b|\bscript -q\w*c\b|\btimeout \d|\bRLIMIT_AS\b")
LACKING = {"win32": WINDOWS, "darwin": MACOS}


def module(name: str) -> ModuleType | None:
    """Import a module that Windows has not; tests that use it are skipped there."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def is_root() -> bool:
    """Return whether the tests run as a user who may read and write everything."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def needs(item: pytest.Function, platform: str) -> str:
    """Return the first thing that a test names and a platform has not; empty if there is none."""
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    waiting = [inspect.unwrap(item.function), *(inspect.unwrap(one[-1].func) for one in fixtures)]
    seen = set()
    while waiting:
        code = waiting.pop()
        if id(code) in seen or not _is_ours(code):
            continue
        seen.add(id(code))
        text = _text(code)
        if found := LACKING[platform].search(text):
            return found[0]
        known = getattr(code, "__globals__", {})
        waiting += [known[name] for name in set(re.findall(r"\w+", text)) if name in known]
    return ""


def _text(code: Any) -> str:
    if isinstance(code, str):
        return code
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):  # written by a decorator such as dataclass
        return ""


def _is_ours(code: object) -> bool:
    """Say whether this is a script, or a function or class of the tests."""
    if isinstance(code, str):
        return "\n" in code
    name = getattr(code, "__module__", None) or ""
    path = getattr(sys.modules.get(name), "__file__", None) or ""
    return callable(code) and inspect.isroutine(code) | inspect.isclass(code) and "tests" in path


def skip_what_is_lacking(items: list[pytest.Item], platform: str = sys.platform) -> None:
    """Mark the tests that cannot work on this platform, each with the reason."""
    if platform not in LACKING:
        return
    for item in items:
        if isinstance(item, pytest.Function) and (lacking := needs(item, platform)):
            item.add_marker(pytest.mark.skip(reason=f"{platform} has no {lacking}"))
