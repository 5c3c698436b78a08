"""File locks, which the system releases when a process ends, and waits with a time limit.

On drives without such locks (some network drives) every run takes itself for the only one.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from featcli import system
from featcli.errors import InUse, as_write_error
from featcli.io.private import PrivateFolder

PATIENCE, LIMIT = 1.0, 10.0  # seconds until a wait is reported, and until it is given up
LIMIT_OF_ONE_JOB = 300.0  # for workers of one run, which wait as long as a slow drive takes
_STEP = 0.02
_LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "overlay", "f2fs", "zfs", "apfs"}


def _say(text: str) -> None:
    sys.stderr.write(f"featcli: {text}\n")


class Waiting:
    """A wait for another program: reported after one second, given up after ten.

    Parameters
    ----------
    what : Path
        The file or folder that is waited for.
    holder : callable
        Returns a description of the other program, as far as it is known.
    is_ours : callable
        Returns whether that program is part of the same command, which is not reported.
    """

    def __init__(
        self, what: Path, holder: Callable[[], str], is_ours: Callable[[], bool] = bool
    ) -> None:
        self._what, self._holder, self._is_ours = what, holder, is_ours
        self._began = time.monotonic()
        self._is_told = False

    def step(self) -> None:
        """Wait a little; raises InUse if the time limit has passed."""
        seconds = time.monotonic() - self._began
        is_ours = seconds >= PATIENCE and self._is_ours()
        if seconds >= (LIMIT_OF_ONE_JOB if is_ours else LIMIT):
            raise InUse(
                f"{self._what} is held by {self._holder()}, and was not released within "
                f"{seconds:.0f} seconds: end that program, or let it finish"
            )
        if seconds >= PATIENCE and not self._is_told and not is_ours:
            self._is_told = True
            _say(f"waiting for {self._what}, which is held by {self._holder()}")
        time.sleep(_STEP)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lock a folder, so that other processes neither see nor write half of a set of files.

    Raises
    ------
    InUse
        If another program holds the folder for too long.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        waiting = Waiting(
            folder,
            lambda: _named(holder_of(descriptor)),
            lambda: _is_worker_of_this_job(holder_of(descriptor)),
        )
        while not system.try_lock(descriptor):
            waiting.step()
        yield
    finally:
        os.close(descriptor)


class ExclusiveLock:
    """A lock that shows other runs that an output is being written.

    Parameters
    ----------
    private : PrivateFolder
        The folder of the lock file.
    name : str
        The name of the lock file, without suffix.
    target : Path
        The output, for messages.
    """

    def __init__(self, private: PrivateFolder, name: str, target: Path) -> None:
        self._private, self._name, self._target = private, f"{name}.lock", target
        self._descriptor = -1

    def enter(self) -> None:
        """Acquire the lock.

        Raises
        ------
        InUse
            If another run has it; `self.holder` is its process number, if known.
        """
        self.holder: int | None = None
        with as_write_error(self._target):
            while self._descriptor < 0:
                self._try()

    def _try(self) -> None:
        private, flags = self._private, os.O_RDWR | os.O_CREAT
        descriptor = private.create(lambda: private.open(self._name, flags))
        if not system.try_lock(descriptor):
            self.holder = holder_of(descriptor)
            os.close(descriptor)
            by = f" (process {self.holder})" if self.holder else ""
            raise InUse(f"another featcli{by} is writing {self._target}: wait until it has ended")
        try:
            is_current = os.path.samestat(
                os.fstat(descriptor),
                os.stat(self._private.file(self._name)),  # noqa: PTH116
            )
        except OSError:
            is_current = False
        if is_current:
            self._descriptor = descriptor
        else:
            os.close(descriptor)  # the previous run has removed the file meanwhile

    def leave(self, remove: bool = True) -> None:
        """Release the lock, and remove its file."""
        if self._descriptor < 0:
            return
        if remove:
            with contextlib.suppress(OSError):
                (self._private.path / self._name).unlink()
        os.close(self._descriptor)
        self._descriptor = -1
        if remove:
            self._private.remove_if_empty()


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Lock a file against other runs that write it; raises InUse if one does."""
    lock = ExclusiveLock(PrivateFolder(path.parent), path.name, path)
    lock.enter()
    try:
        yield
    finally:
        lock.leave()


def holder_of(descriptor: int) -> int | None:
    """Return the process that holds the lock of an open file, if the system tells (Linux)."""
    inode = f":{os.fstat(descriptor).st_ino}"
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/locks").read_text("ascii").splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].endswith(inode):
                return int(fields[4])
    return None


def _named(process: int | None) -> str:
    if process is None:
        return "another program"
    with contextlib.suppress(OSError):
        name = Path(f"/proc/{process}/comm").read_text("utf-8", "replace").strip()
        return f"process {process} ({name})"
    return f"process {process}"


def is_of_this_job(process: int | None) -> bool:
    """Return whether a process belongs to the same shell command line, as parts of a pipe do."""
    try:
        return process is None or os.getpgid(process) == os.getpgrp()
    except (OSError, AttributeError):
        return False


def _is_worker_of_this_job(process: int | None) -> bool:
    """Return whether a process is a featcli worker of the same shell command line."""
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
    return b"featcli.batch.worker" in command and is_of_this_job(process)


@cache
def is_local(folder: Path) -> bool:
    """Return whether a folder is known to be on a local drive (Linux)."""
    try:
        number = folder.stat().st_dev
        device = f"{os.major(number)}:{os.minor(number)}"
        for line in Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
            first, _, rest = line.partition(" - ")
            if first.split()[2] == device:
                return rest.split()[0] in _LOCAL
    except (OSError, IndexError):
        pass
    return False
