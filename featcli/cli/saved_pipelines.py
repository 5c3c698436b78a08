"""Saved pipelines: text files of one line in the user's configuration folder."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

from featcli.errors import OutputExists, UsageError, as_write_error, nearest
from featcli.pipeline import Pipeline

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+=-]{0,59}")
_SUFFIX = ".pipeline"
_RESERVED = re.compile("(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)
_LONGEST = 1 << 17  # bytes, the longest argument that Linux passes to a command


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
            "the name of a pipeline consists of 1 to 60 letters A-Z a-z, digits, _ + = - and "
            f"begins with a letter or digit, unlike {name[:80]!r}"
        )
    if _RESERVED.fullmatch(name):
        raise UsageError(f"the name of a pipeline cannot be {name!r}, which Windows reserves")
    return folder() / f"{name}{_SUFFIX}"


def names() -> list[str]:
    """Return the names of all saved pipelines, sorted."""
    found = (path.name.removesuffix(_SUFFIX) for path in folder().glob(f"*{_SUFFIX}"))
    return sorted(name for name in found if _NAME.fullmatch(name) and not _RESERVED.fullmatch(name))


def load(name: str) -> str:
    """Return the text of a saved pipeline; raises UsageError if there is none."""
    path = path_of(name)
    try:
        return _content(path)
    except (FileNotFoundError, NotADirectoryError):
        hint = nearest(name, names()) or " (see 'featcli pipelines')"
        raise UsageError(f"no pipeline is saved as {name!r}{hint}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path}: {reason}") from error


def _content(path: Path) -> str:
    """Return the text of a file; raises ValueError if it cannot be a pipeline."""
    if not path.is_file() and os.path.lexists(path):  # opening a pipe could wait for ever
        raise ValueError("is not a file")
    with path.open("rb") as stream:
        data = stream.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise ValueError(f"is larger than {_LONGEST >> 10} KB, too long for a pipeline")
    try:
        text = data.decode("utf-8-sig").strip()  # Windows writes a byte order mark
    except UnicodeDecodeError:
        raise ValueError("is not text in UTF-8") from None
    if not text:
        raise ValueError("is empty")
    if not all(one.isprintable() or one.isspace() for one in text):
        raise ValueError("is not text: it contains control characters")
    return text


def _line(text: str) -> str:
    """Return a pipeline's text on one line."""
    return text.strip() if len(text.splitlines()) == 1 else str(Pipeline(text))


def check(name: str, text: str, overwrite: bool = False) -> Path:
    """Return the path for a pipeline that is to be saved.

    Raises
    ------
    UsageError
        If the name is invalid or the text too long.
    OutputExists
        If another pipeline is saved under this name and `overwrite` is not set.
    """
    path = path_of(name)
    if len(text.encode(errors="surrogateescape")) > _LONGEST:
        raise UsageError(f"a pipeline of more than {_LONGEST >> 10} KB cannot be saved")
    if os.path.lexists(path) and not overwrite:
        with contextlib.suppress(UsageError):
            if load(name) == _line(text):
                return path
        raise OutputExists(f"{name!r} is saved already{_shown(name)}; --overwrite replaces it")
    return path


def _shown(name: str) -> str:
    try:
        return f": {load(name)}"
    except UsageError:
        return ""


def save(name: str, text: str, overwrite: bool = False) -> Path:
    """Save a pipeline and return the path of its file; raises what `check` raises."""
    from featcli.io import reports

    path = check(name, text, overwrite)
    with as_write_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    reports.write({path: f"{_line(text)}\n".encode()})
    return path
