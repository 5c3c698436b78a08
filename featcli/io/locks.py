"""Locks that end with their process, however that ends, and waits that end, too.

Where there are no such locks (some network drives) every run takes itself for the only one.
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

PATIENCE, LIMIT = 1.0, 10.0  # seconds until a wait is told of, and until it ends
LIMIT_OF_ONE_JOB = 300.0  # workers wait for each other as long as a slow drive takes
_STEP = 0.02
_LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "overlay", "f2fs", "zfs", "apfs"}


def _say(text: str) -> None:
    sys.stderr.write(f"featcli: {text}\n")


class Waiting:
    """A wait for another program: after a second it is told of, after ten it ends.

    Parameters
    ----------
    what : Path
        What is waited for.
    holder : callable
        Names the other program, after "held by", as far as that can be known.
    is_ours : callable
        Says whether that is a part of the same command: such a wait is not told of.
    """

    def __init__(
        self, what: Path, holder: Callable[[], str], is_ours: Callable[[], bool] = bool
    ) -> None:
        self._what, self._holder, self._is_ours = what, holder, is_ours
        self._began = time.monotonic()
        self._is_told = False

    def step(self) -> None:
        """Wait a little; raises InUse when it has lasted too long."""
        seconds = time.monotonic() - self._began
        is_ours = seconds >= PATIENCE and self._is_ours()
        if seconds >= (LIMIT_OF_ONE_JOB if is_ours else LIMIT):
            raise InUse(
                f"{self._what} is held by {self._holder()}, and was not let go within "
                f"{seconds:.0f} seconds: end that program, or let it go on"
            )
        if seconds >= PATIENCE and not self._is_told and not is_ours:
            self._is_told = True
            _say(f"waiting for {self._what}, which is held by {self._holder()}")
        time.sleep(_STEP)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep other processes from seeing, or making, half of a set of files in a folder.

    Raises
    ------
    InUse
        Another program holds the folder, and does not let go of it.
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
    """Says to others that a run has something to itself.

    Parameters
    ----------
    room : PrivateFolder
        Where the lock's file is.
    name : str
        Of the file.
    target : Path
        For people: what the run writes.
    """

    def __init__(self, room: PrivateFolder, name: str, target: Path) -> None:
        self._room, self._name, self._target = room, f"{name}.lock", target
        self._descriptor = -1

    def enter(self) -> None:
        """Take it.

        Raises
        ------
        InUse
            Another run has it; `self.holder` is its process, if that is known.
        """
        self.holder: int | None = None
        with as_write_error(self._target):
            while self._descriptor < 0:
                self._try()

    def _try(self) -> None:
        self._room.make()
        try:
            descriptor = self._room.open(self._name, os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:
            return  # the folder was taken away meanwhile: once more
        if not system.try_lock(descriptor):
            self.holder = holder_of(descriptor)
            os.close(descriptor)
            by = f" (process {self.holder})" if self.holder else ""
            raise InUse(f"another featcli{by} is writing {self._target}: wait until it has ended")
        try:
            is_current = os.path.samestat(
                os.fstat(descriptor),
                os.stat(self._room.file(self._name)),  # noqa: PTH116
            )
        except OSError:
            is_current = False
        if is_current:
            self._descriptor = descriptor
        else:
            os.close(descriptor)  # the last run took the file away meanwhile

    def leave(self, remove: bool = True) -> None:
        """Let go of it, and take its file away."""
        if self._descriptor < 0:
            return
        if remove:
            with contextlib.suppress(OSError):
                (self._room.path / self._name).unlink()
        os.close(self._descriptor)
        self._descriptor = -1
        if remove:
            self._room.remove_if_empty()


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only run that writes a file; raises InUse if another one does."""
    lock = ExclusiveLock(PrivateFolder(path.parent), path.name, path)
    lock.enter()
    try:
        yield
    finally:
        lock.leave()


def holder_of(descriptor: int) -> int | None:
    """Return the process that holds the lock of an open file, where the system says so (Linux)."""
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
    """Say whether a process was started by the same line of a shell, as parts of a pipe are."""
    try:
        return process is None or os.getpgid(process) == os.getpgrp()
    except (OSError, AttributeError):
        return False


def _is_worker_of_this_job(process: int | None) -> bool:
    """Say whether a process is known to be one that works for the same line of a shell."""
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
    return b"featcli.batch.worker" in command and is_of_this_job(process)


@cache
def is_local(folder: Path) -> bool:
    """Say whether a folder is known to be on a drive of this machine (Linux)."""
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
