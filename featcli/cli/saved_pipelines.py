"""Saved pipelines: text files of one line in the user's configuration folder."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from featcli.errors import OutputExists, UsageError, as_write_error, nearest
from featcli.pipeline import Pipeline

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+=-]{0,59}")
_SUFFIX = ".pipeline"
_LONGEST = 1 << 20  # bytes, far more than any pipeline needs


def folder() -> Path:
    """Return the folder of saved pipelines on this platform; it may not exist yet.

    Raises
    ------
    UsageError
        If no home folder is known, as in a container whose user has none.
    """
    home = _home()
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        named = Path(os.environ.get("XDG_CONFIG_HOME") or "")
        base = named if named.is_absolute() else home / ".config"
    return base / "featcli" / "pipelines"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise UsageError(
            "pipelines are saved in the home folder, and this user has none: set HOME"
        ) from None


def path_of(name: str) -> Path:
    """Return the path of a saved pipeline; raises UsageError for an invalid name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"the name of a pipeline consists of at most 60 letters, digits, _ + = -, "
            f"not {name[:80]!r}"
        )
    return folder() / f"{name}{_SUFFIX}"


def names() -> list[str]:
    """Return the names of all saved pipelines, sorted."""
    found = (path.name.removesuffix(_SUFFIX) for path in folder().glob(f"*{_SUFFIX}"))
    return sorted(name for name in found if _NAME.fullmatch(name))


def load(name: str) -> str:
    """Return the text of a saved pipeline; raises UsageError if there is none."""
    path = path_of(name)
    try:
        with path.open("rb") as stream:
            return stream.read(_LONGEST).decode("utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        hint = nearest(name, names()) or " (see 'featcli pipelines')"
        raise UsageError(f"no pipeline is saved as {name!r}{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise UsageError(f"{path}: {reason}") from error


def _line(text: str) -> str:
    """Return a pipeline's text on one line."""
    return text.strip() if len(text.splitlines()) == 1 else str(Pipeline(text))


def save(name: str, text: str, overwrite: bool = False) -> Path:
    """Save a pipeline and return the path of its file.

    Raises
    ------
    OutputExists
        If another pipeline is saved under this name and `overwrite` is not set.
    """
    from featcli.io import reports

    path = path_of(name)
    if os.path.lexists(path) and not overwrite and load(name) != _line(text):
        raise OutputExists(f"{name!r} is saved already: {load(name)}; --overwrite replaces it")
    with as_write_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    reports.write({path: f"{_line(text)}\n".encode()})
    return path
