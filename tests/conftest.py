"""What tests of the command line share: a folder to work in, and featcli as real processes.

`workspace` is a folder with pictures, and the current one; `featcli(...)` runs the command as a
process, `shell(...)` a line of bash, `inline(...)` the same command inside this process, which is
quicker where the process itself is not what is tested.
"""

from __future__ import annotations

import io
import os
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Tests take what reads the documentation from there.
sys.path.append(str(Path(__file__).resolve().parent.parent / "tools"))

# As the command does: several processes with several BLAS threads each wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings
from portable import skip_what_is_lacking
from stores import bucket, moto, photos, proxy  # noqa: F401  # fixtures of object stores

WITHOUT_KERNEL = Path(__file__).resolve().parent / "without_kernel"


def without_kernel() -> dict[str, str]:
    """An environment in which featcli computes without the compiled kernel."""
    path = filter(None, [str(WITHOUT_KERNEL), os.getenv("PYTHONPATH")])
    return {"PYTHONPATH": os.pathsep.join(path)}


# featcli itself reads no such variable: nothing outside the command line may change a result.
if os.environ.pop("FEATCLI_ENGINE", "") == "scipy":
    os.environ.update(without_kernel())
    runpy.run_path(str(WITHOUT_KERNEL / "sitecustomize.py"))

# No test asserts a time, so none fails because a machine is busy.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# Whoever starts a program in the background may have it ignore these; what is tested must not.
for _number in filter(None, (getattr(signal, name, None) for name in ("SIGINT", "SIGHUP"))):
    if signal.getsignal(_number) == signal.SIG_IGN:
        usual = signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL
        signal.signal(_number, usual)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip_what_is_lacking(items)


SAMPLES = Path(__file__).resolve().parent.parent / "samples"
_UNWANTED = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM")

Result = subprocess.CompletedProcess
Runner = Callable[..., Result]


def environment(**changes: str) -> dict[str, str]:
    """The environment of a process that is tested: nothing in it changes how things look."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    return kept | {"TERM": "dumb"} | changes


def as_bytes(data: bytes | str | None) -> bytes:
    return data.encode(errors="surrogateescape") if isinstance(data, str) else data or b""


def as_result(arguments: object, code: int, out: bytes, err: bytes, binary: bool) -> Result:
    """Text unless `binary`; stderr is for people and always text."""
    shown = out if binary else out.decode(errors="surrogateescape")
    return Result(arguments, code, shown, err.decode(errors="surrogateescape"))


def run_process(
    arguments: list[str],
    stdin: bytes | str | None = None,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    binary: bool = False,
) -> Result:
    done = subprocess.run(
        arguments,
        input=as_bytes(stdin),
        cwd=cwd,
        env=environment(**(env or {})),
        capture_output=True,
        timeout=300,
        check=False,
    )
    return as_result(arguments, done.returncode, done.stdout, done.stderr, binary)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of sample pictures."""
    return SAMPLES


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the current one, with photo.jpg, one.png, zero.png, gray.png and small.png.

    `samples/` in it holds all samples; `gray.png` is 6x8, `small.png` 6x8 in colour.
    """
    from PIL import Image

    folder = tmp_path / "workspace"
    folder.mkdir()
    try:
        (folder / "samples").symlink_to(SAMPLES)
    except OSError:  # Windows lets not everybody make links
        shutil.copytree(SAMPLES, folder / "samples")
    for name, sample in (("photo.jpg", "cat.jpg"), ("one.png", ""), ("zero.png", "")):
        (folder / name).write_bytes((SAMPLES / (sample or name)).read_bytes())
    random = np.random.default_rng(7)
    Image.fromarray(random.integers(0, 256, (6, 8), np.uint8)).save(folder / "gray.png")
    Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8)).save(folder / "small.png")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def featcli() -> Runner:
    """Run `featcli ARGUMENTS` as a process.

    `featcli(*arguments, stdin=None, cwd=None, env=None, binary=False)` gives a
    `CompletedProcess`: `stdout` is text (bytes with `binary`), `stderr` is text.
    """

    def run(*arguments: object, **how: object) -> Result:
        return run_process([sys.executable, "-m", "featcli", *map(str, arguments)], **how)

    return run


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Run a script in bash, with `featcli` and `python` on the PATH; else as `featcli`."""
    folder = tmp_path_factory.mktemp("bin")
    for name, words in (("featcli", ("-m", "featcli")), ("python", ())):
        command = shlex.join([sys.executable, *words])
        (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / name).chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"

    def run(script: str, env: dict[str, str] | None = None, **how: object) -> Result:
        return run_process(["bash", "-c", script], env={"PATH": path} | (env or {}), **how)

    return run


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    """Run `featcli ARGUMENTS` in this process: the same boundary, no start of an interpreter.

    `inline(*arguments, stdin=None, binary=False)` gives what `featcli` gives.
    """
    from featcli.cli.main import main

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(*arguments: object, stdin: bytes | str | None = None, binary: bool = False) -> Result:
        out, err = io.BytesIO(), io.BytesIO()
        with monkeypatch.context() as patch:
            for name in _UNWANTED:
                patch.delenv(name, raising=False)
            patch.setenv("COLUMNS", "80")
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(as_bytes(stdin))))
            patch.setattr(sys, "stdout", io.TextIOWrapper(out, "utf-8", write_through=True))
            patch.setattr(sys, "stderr", io.TextIOWrapper(err, "utf-8", write_through=True))
            with pytest.raises(SystemExit) as stop:
                main([str(one) for one in arguments])
            code = stop.value.code
            return as_result(arguments, int(code or 0), out.getvalue(), err.getvalue(), binary)

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


# Runs in every process that is started: what a decoder that crashes or hangs looks like. Only a
# worker decodes where there are workers.
_HURT = """
import os, pathlib, signal, time
plain = pathlib.Path.open
def hurt(self, *arguments, **named):
    if self.name.startswith("crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if self.name.startswith("once") and not pathlib.Path("tried").exists():
        pathlib.Path("tried").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if self.name.startswith("hang"):
        time.sleep(600)
    return plain(self, *arguments, **named)
pathlib.Path.open = hurt
"""


@pytest.fixture
def hurt(workspace: Path) -> dict[str, str]:
    """An environment in which files called crash*, once* and hang* do that to who reads them."""
    folder = workspace.parent / "hurt"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_HURT)
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.getenv("PYTHONPATH")])])}


@pytest.fixture
def started(workspace: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start featcli and go on: `started("relu", "in", "-o", "out")` gives the process."""
    running: list[subprocess.Popen] = []

    def start(*arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen:
        command = [sys.executable, "-m", "featcli", *map(str, arguments)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, stdout=pipe, stderr=pipe, env=environment(**(env or {}))
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a disk of a size, such as `disk("300k")`; skips where that is not possible."""
    folder, mount = tmp_path / "disk", shutil.which("mount")
    folder.mkdir()
    mounted = []

    def make(size: str) -> Path:
        command = [mount or "mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if os.geteuid() or not mount or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a tmpfs cannot be mounted here")
        mounted.append(folder)
        return folder

    yield make
    for one in mounted:
        subprocess.run(["umount", "-l", str(one)], check=True)


def listing(folder: Path) -> dict[str, int]:
    """Every file below a folder with its time of change: what a command left or touched."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_refused(result: Result, code: int, *words: str) -> None:
    """One line on stderr with these words in it, nothing on stdout, this exit code."""
    lines = result.stderr.splitlines()
    assert (result.returncode, len(lines)) == (code, 1), result
    assert not result.stdout
    assert lines[0].startswith("featcli")
    for word in words:
        assert word in lines[0]
