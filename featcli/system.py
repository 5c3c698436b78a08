"""What differs between operating systems, so that nothing else has to ask which one it runs on.

Where a system has no locks of files (some network drives) every run takes itself for the only one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

# For os.open: what is opened is no link, a pipe is not waited for, bytes stay as they are, and no
# child gets it. Windows has only the last two.
PLAIN = 0
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC", "O_NOINHERIT"):
    PLAIN |= getattr(os, _name, 0)
_FOLDER_LOCK = "folder.lock"  # Windows cannot open a folder: this file in it stands for it
# Where Windows locks a byte: far behind everything, and not where SQLite has its own locks.
_LOCKED_BYTE = 0x7FFF0000


def try_lock(descriptor: int, shared: bool = False) -> bool:
    """Take the lock of an open file if nobody has it; say whether that went well.

    It ends with the process, however that ends.

    Parameters
    ----------
    descriptor : int
        Of the open file.
    shared : bool
        Keep away only those who want it for themselves. Windows has no such locks: there it is
        only tried whether somebody has it.
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
    """Open a folder of featcli's own so that it can be locked; raises OSError."""
    if sys.platform != "win32":
        return os.open(folder, os.O_RDONLY | PLAIN)
    return os.open(folder / _FOLDER_LOCK, os.O_RDWR | os.O_CREAT | PLAIN, 0o666)


def close_folder(descriptor: int, folder: Path) -> None:
    """Close what `open_folder` gave."""
    os.close(descriptor)
    if sys.platform == "win32":
        with contextlib.suppress(OSError):  # another process has it
            (folder / _FOLDER_LOCK).unlink()


def is_running(process: int) -> bool:
    """Say whether a process is there, of whomever it is."""
    if sys.platform == "win32":  # where os.kill(process, 0) would interrupt it
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
        return bool(kernel.GetLastError() != 87)  # ERROR_INVALID_PARAMETER: there is none
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == 259  # STILL_ACTIVE


def free_space(folder: Path) -> int | None:
    """Return how many bytes may still be written into a folder, or None if that is not known."""
    import shutil  # it brings compressors with it

    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
