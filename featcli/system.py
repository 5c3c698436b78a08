"""Functions that differ between operating systems: file locks, processes, free disk space.

On drives without file locks (some network drives) every lock succeeds.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

# Flags for os.open: do not follow links, do not wait for a pipe, do not convert line ends, and do
# not pass the file to child processes. Windows has only the last two.
PLAIN = 0
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC", "O_NOINHERIT"):
    PLAIN |= getattr(os, _name, 0)
_FOLDER_LOCK = "folder.lock"  # Windows cannot open a folder, so this file in it is locked instead
# What no file on Windows can be named: parts of paths, and devices, these also with a suffix.
_NOT_ON_WINDOWS = (
    r'(?is).*[\\:*?"<>|\x00-\x1f].*|.*[ .]'
    r"|(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?"
)
# The byte that is locked on Windows: far behind the end, and not one that SQLite locks.
_LOCKED_BYTE = 0x7FFF0000


def try_lock(descriptor: int, shared: bool = False) -> bool:
    """Lock an open file; return False if another process has locked it.

    The lock is released when the process ends, even if it is killed.

    Parameters
    ----------
    descriptor : int
        File descriptor.
    shared : bool
        Take a shared lock, which only conflicts with exclusive ones. Windows has none: there the
        file is only tested for a lock.
    """
    try:
        import fcntl
    except ImportError:
        return _try_lock_on_windows(descriptor, shared)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a drive without locks
    return True


def _try_lock_on_windows(descriptor: int, shared: bool) -> bool:
    try:
        import msvcrt
    except ImportError:
        return True
    before = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        if shared:
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
    except PermissionError:
        return False
    except OSError:
        return True
    finally:
        os.lseek(descriptor, before, os.SEEK_SET)
    return True


def open_folder(folder: Path) -> int:
    """Open one of featcli's folders so that it can be locked; raises OSError."""
    if sys.platform != "win32":
        return os.open(folder, os.O_RDONLY | PLAIN)
    return os.open(folder / _FOLDER_LOCK, os.O_RDWR | os.O_CREAT | PLAIN, 0o666)


def close_folder(descriptor: int, folder: Path) -> None:
    """Close the descriptor that `open_folder` returned."""
    os.close(descriptor)
    if sys.platform == "win32":
        with contextlib.suppress(OSError):  # another process has it open
            (folder / _FOLDER_LOCK).unlink()


def can_name_file(name: str) -> bool:
    """Return whether a file or folder may have this name, which has no `/`.

    Only Windows refuses names: there `C:x` or `..\\x` would lead out of a folder.
    """
    return sys.platform != "win32" or not re.fullmatch(_NOT_ON_WINDOWS, name)


def is_running(process: int) -> bool:
    """Return whether a process with this id exists, of any user."""
    if sys.platform == "win32":  # where os.kill(process, 0) would interrupt the process
        return _is_running_on_windows(process)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _is_running_on_windows(process: int) -> bool:
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(0x1000, False, process)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return bool(kernel.GetLastError() != 87)  # ERROR_INVALID_PARAMETER: no such process
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == 259  # STILL_ACTIVE


def free_space(folder: Path) -> int | None:
    """Return how many bytes are free on the disk of a folder, or None if unknown."""
    import shutil  # here because it imports the compression modules

    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
