"""What featcli does where the system is another: Windows is played by what Python has there."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
import tarfile
import types
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pytest

from featcli import budget, cores, system
from featcli.batch import named
from featcli.cli import graphics
from featcli.io import atomic, locks, private, records
from featcli.io.private import PrivateFolder
from featcli.serve import memory


class FakeLocks(types.ModuleType):
    """`msvcrt`, as far as locks go: one descriptor has a byte of a file, others are refused."""

    LK_UNLCK, LK_NBLCK = 0, 2

    def __init__(self) -> None:
        super().__init__("msvcrt")
        self.held: dict[tuple[int, int], int] = {}

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert count == 1
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        assert place < 2**31, "the C library counts in 32 bits there"
        key = (os.fstat(descriptor).st_ino, place)
        if key in self.held and not self._is_open(self.held[key], key[0]):
            del self.held[key]
        if mode == self.LK_UNLCK:
            assert self.held.pop(key) == descriptor
        elif self.held.setdefault(key, descriptor) != descriptor:
            raise PermissionError(errno.EACCES, "Permission denied")

    def _is_open(self, descriptor: int, inode: int) -> bool:
        """Say whether who has a lock still has the file: closing it lets go of the lock."""
        try:
            return os.fstat(descriptor).st_ino == inode
        except OSError:
            return False


@pytest.fixture
def windows(monkeypatch):
    """Take away what Windows has not."""
    fake = FakeLocks()
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    monkeypatch.setattr(system, "sys", types.SimpleNamespace(platform="win32"))
    monkeypatch.delattr(os, "kill")  # it would end the process that is only asked for
    monkeypatch.delattr(os, "statvfs")
    monkeypatch.delattr(os, "getpgid")
    original = os.open

    def no_folder(path, flags, *mode, **more):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path, flags, *mode, **more)

    monkeypatch.setattr(os, "open", no_folder)
    return fake


def test_a_lock_keeps_a_second_one_away_with_the_locks_of_windows(windows, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    with path.open("rb") as one, path.open("rb") as two:
        one.seek(3)
        assert system.try_lock(one.fileno())
        assert not system.try_lock(two.fileno())
        assert not system.try_lock(two.fileno(), shared=True)
        assert one.read() == b"45"  # locking has not moved it


def test_shared_locks_let_each_other_in_with_the_locks_of_windows(windows, tmp_path):
    path = tmp_path / "x"
    path.touch()
    with path.open("rb") as one, path.open("rb") as two:
        assert system.try_lock(one.fileno(), shared=True)
        assert system.try_lock(two.fileno(), shared=True)
        assert system.try_lock(two.fileno())


def test_a_system_without_locks_lets_everybody_in(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", None)
    with (tmp_path / "x").open("wb") as stream:
        assert system.try_lock(stream.fileno())
        assert system.try_lock(stream.fileno(), shared=True)


def test_a_folder_is_locked_by_a_file_in_it_on_windows(windows, tmp_path):
    one = system.open_folder(tmp_path)
    two = system.open_folder(tmp_path)
    assert system.try_lock(one)
    assert not system.try_lock(two)
    system.close_folder(two, tmp_path)
    system.close_folder(one, tmp_path)
    assert list(tmp_path.iterdir()) == []


class FakeKernel:
    """The functions of kernel32 that say whether a process runs."""

    def __init__(self, codes: dict[int, int], error: int = 87) -> None:
        self.codes, self.error = codes, error

    def OpenProcess(self, _rights, _inherit, process):
        return process if process in self.codes else 0

    def GetLastError(self):
        return self.error

    def GetExitCodeProcess(self, handle, code):
        code._obj.value = self.codes[handle]

    def CloseHandle(self, _handle):
        pass


def test_a_process_is_asked_for_without_a_signal_on_windows(windows, monkeypatch):
    kernel = FakeKernel({10: 259, 11: 0})
    monkeypatch.setattr(ctypes, "windll", types.SimpleNamespace(kernel32=kernel), raising=False)
    assert system.is_running(10)
    assert not system.is_running(11)  # it has ended, somebody still holds it
    assert not system.is_running(12)
    kernel.error = 5  # access is denied: it is there
    assert system.is_running(12)


def test_a_process_is_running_until_it_has_ended():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert system.is_running(process.pid)
        process.communicate(b"\n")
    assert not system.is_running(process.pid)


def test_free_space_is_known_without_statvfs(tmp_path, monkeypatch):
    expected = os.statvfs(tmp_path)
    assert abs(system.free_space(tmp_path) - expected.f_bavail * expected.f_frsize) < 1 << 32
    assert system.free_space(tmp_path / "missing") is None


def test_files_appear_on_a_drive_without_links(windows, monkeypatch, tmp_path):
    def no_links(*_names):
        raise OSError(errno.EINVAL, "Incorrect function")

    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "a.bin"
    atomic.write_files({path: lambda stream: stream.write(b"one")})
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_of_results_is_done_once_on_windows(windows, monkeypatch, tmp_path):
    from featcli.io.store import Store

    kernel = FakeKernel({os.getpid(): 259})
    monkeypatch.setattr(ctypes, "windll", types.SimpleNamespace(kernel32=kernel), raising=False)
    for _ in range(2):
        store = Store(PrivateFolder(tmp_path), "store")
        store.recipe("digest", "0", "text")
        store.close()
    names = sorted(path.name for path in (tmp_path / private.NAME).iterdir())
    assert names == ["store.db"]


def test_an_output_that_another_run_writes_is_refused_on_windows(windows, tmp_path):
    from featcli.errors import InUse

    with locks.alone(tmp_path / "a.npz"), pytest.raises(InUse, match="is writing"):
        locks.ExclusiveLock(PrivateFolder(tmp_path), "a.npz", Path("a.npz")).enter()
    assert list(tmp_path.iterdir()) == []


def test_a_batch_is_done_once_where_the_system_is_windows(
    windows, monkeypatch, tmp_path, inline, samples
):
    kernel = FakeKernel({os.getpid(): 259})
    monkeypatch.setattr(ctypes, "windll", types.SimpleNamespace(kernel32=kernel), raising=False)
    arguments = ("gray", samples / "one.png", samples / "cat.jpg", "-j1", "-o")
    first = inline(*arguments, tmp_path / "maps/")
    assert (first.returncode, "2 done" in first.stderr) == (0, True), first.stderr
    second = inline(*arguments, tmp_path / "maps/")
    assert (second.returncode, "2 skipped" in second.stderr) == (0, True), second.stderr
    for name in ("t.npz", "t-%02d.tar"):
        for _ in range(2):
            done = inline("run", "gray | resize 8x8 | flatten", *arguments[1:], tmp_path / name)
            assert done.returncode == 0, done.stderr
    left = {path.name for path in (tmp_path / "maps" / private.NAME).iterdir()}
    assert not any(name.endswith((".part", "folder.lock")) for name in left), left


@pytest.mark.parametrize(
    "name",
    ["..\\x", "C:x", "a\\b", "a.jpg:hidden", "NUL", "con.tar", "Com1", "lpt9.x", "a ", "a.", "a*",
     "a\nb", 'a"b', "conin$"],
)  # fmt: skip
def test_a_key_that_windows_has_no_file_for_or_that_leads_out_is_refused(windows, name):
    for key in (name, f"folder/{name}", f"{name}/file"):
        with pytest.raises(ValueError, match="on Windows"):
            records.safe_key(key)


@pytest.mark.parametrize("name", ["a b", "a.b", ".hidden", "console", "com10", "ä", "nullable.x"])
def test_other_keys_are_as_good_on_windows_as_elsewhere(windows, name):
    assert records.safe_key(f"{name}/{name}") == f"{name}/{name}"


def test_only_windows_refuses_names():
    assert records.safe_key("a\\b/C:x") == "a\\b/C:x"


def test_an_archive_writes_nothing_outside_the_folder_on_windows(
    windows, monkeypatch, tmp_path, inline
):
    kernel = FakeKernel({os.getpid(): 259})
    monkeypatch.setattr(ctypes, "windll", types.SimpleNamespace(kernel32=kernel), raising=False)
    picture = np.zeros((4, 4), np.uint8)
    np.save(tmp_path / "x.npy", picture)
    with tarfile.open(tmp_path / "in.tar", "w") as archive:
        for name in ("good.npy", "..\\..\\bad.npy", "C:bad.npy"):
            archive.add(tmp_path / "x.npy", name)
    done = inline("abs", tmp_path / "in.tar", "-o", tmp_path / "out" / "")
    names = {path.name for path in tmp_path.rglob("*bad*")}
    assert (done.returncode, names) == (1, set()), done.stderr
    assert "on Windows" in done.stderr


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (PureWindowsPath("C:\\photos\\in"), "C/photos/in"),
        (PureWindowsPath("C:\\"), "C"),
        (PureWindowsPath("\\\\server\\share\\in"), "server/share/in"),
        (PurePosixPath("/photos/in"), "photos/in"),
        (PurePosixPath("/"), ""),
    ],
)
def test_a_drive_in_a_key_is_a_folder(path, key):
    assert named.whole_path(path) == key


def test_a_file_is_replaced_where_python_cannot_change_the_mode_of_an_open_one(
    windows, monkeypatch, tmp_path
):
    def only_paths(path, mode, **more):
        raise TypeError("chmod: path should be string, bytes or os.PathLike, not int")

    monkeypatch.setattr(os, "chmod", only_paths)
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    atomic.write_files({path: lambda stream: stream.write(b"two")})
    assert path.read_bytes() == b"two"


def test_a_terminal_of_windows_is_not_asked_for_graphics(monkeypatch):
    class Terminal:
        def isatty(self):
            return True

        def fileno(self):
            return 1

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delattr(os, "ttyname")
    assert graphics.protocol("auto") == ""


def test_a_server_runs_where_the_c_library_cannot_be_opened_without_a_name(monkeypatch):
    def with_names_only(name):
        assert name is None
        raise TypeError("LoadLibrary() argument 1 must be str, not None")

    monkeypatch.setattr(ctypes, "CDLL", with_names_only)
    memory.release_freed_memory()


@pytest.mark.parametrize("missing", ["sched_getaffinity", "sysconf"])
def test_processors_and_memory_are_counted_where_the_system_has_no_call_for_it(
    missing, monkeypatch
):
    monkeypatch.delattr(os, missing)
    assert cores.allowed() >= 1
    assert budget.installed() >= 0
