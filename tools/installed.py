"""Install the wheel of this platform into a clean environment and use it as a new user would.

python tools/installed.py FOLDER [--pure]

FOLDER has the wheels; `--pure` takes the one without the compiled kernel. Everything runs outside
the checkout. The Python that runs this script is the one that is tried.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS, EXE = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")


class Installed:
    """A clean environment with featcli, and a folder with two pictures beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scripts = folder / "venv" / SCRIPTS
        venv.create(folder / "venv", with_pip=True)
        for name in ("cat.jpg", "one.png"):
            shutil.copy(ROOT / "samples" / name, folder)

    def run(self, program: str, *arguments: str, **options: object) -> str:
        """Run a program of the environment and return what it prints."""
        command = [self.program(program), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, timeout=300, **options)
        if done.returncode:
            sys.exit(f"{' '.join(command)} exited {done.returncode}:\n{done.stderr.decode()}")
        return done.stdout.decode().replace(os.linesep, "\n")

    def program(self, name: str) -> str:
        """Return the path of a program of the environment."""
        return str(self.scripts / f"{name}{EXE}")

    def featcli(self, *arguments: str) -> str:
        """Run a command of featcli's."""
        return self.run("featcli", *arguments)

    def python(self, code: str) -> str:
        """Run code where featcli is installed."""
        return self.run("python", "-c", code)


def chosen(it: Installed, folder: Path, is_pure: bool) -> Path:
    """Return the wheel that pip takes on this machine, out of those in `folder` alone."""
    if is_pure:
        return next(folder.glob("*-any.whl"))
    options = ["--no-index", "--no-deps", "--only-binary=:all:", "--find-links", str(folder)]
    it.run("python", "-m", "pip", "download", "-q", *options, "--dest", "wheel", "featcli")
    return next((it.folder / "wheel").glob("*.whl"))


def chain(it: Installed) -> None:
    """Run the same stages through files and through pipes: both give one array."""
    it.featcli("convolve", "cat.jpg", "-k", "vertical")
    it.featcli("relu", "cat.vertical.npy")
    it.featcli("pool", "--size", "2", "cat.vertical.relu.npy")
    it.featcli("flatten", "cat.vertical.relu.max2.npy")
    arrays = subprocess.run(
        [it.program("featcli"), "convolve", "cat.jpg", "-k", "vertical", "-o", "-"],
        cwd=it.folder,
        capture_output=True,
        check=True,
        timeout=300,
    ).stdout
    it.run("featcli", "run", "relu | pool 2 | flatten", "-o", "piped.npy", input=arrays)
    piped = (it.folder / "piped.npy").read_bytes()
    assert piped == (it.folder / "cat.vertical.relu.max2.flatten.npy").read_bytes()


def models(it: Installed) -> None:
    """Classify, explain and train with what ships."""
    assert "tiger cat" in it.featcli("classify", "cat.jpg", "--no-files")
    assert '"label": "1"' in it.featcli("classify", "one.png", "--model", "digits", "--no-files")
    it.featcli("explain", "one.png", "--model", "zero-one", "-o", "one.html")
    assert "Layer by layer" in (it.folder / "one.html").read_text("utf-8")
    it.featcli("train", "digits", "-o", "mine.npz", "--epochs", "1", "-q")


def page(it: Installed) -> None:
    """Ask the page of `featcli serve` once."""
    command = [it.program("featcli"), "serve", "one.png", "--port", "0", "-q"]
    with subprocess.Popen(command, cwd=it.folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert b"one.png" in answer.read()
        finally:
            server.kill()


def main(folder: Path, is_pure: bool) -> int:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        it = Installed(Path(name))
        it.run("python", "-m", "pip", "install", "-q", str(chosen(it, folder, is_pure)))
        versions = it.featcli("info", "--versions")
        assert bool(re.search("engine +compiled kernel", versions)) != is_pure, versions
        assert len(json.loads(it.featcli("kernels", "--json"))) >= 25
        assert "0" in it.featcli("show", "one.png", "--values")
        chain(it)
        models(it)
        page(it)
        typed = (
            "featcli, pathlib; assert pathlib.Path(featcli.__file__).with_name('py.typed').exists()"
        )
        it.python(f"import {typed}")
        print(it.python("import featcli; print(featcli.convolve([[0, 1], [1, 0]], 'vertical'))"))
        print(
            f"{it.featcli('--version').strip()} works: Python {sys.version.split()[0]}, "
            f"{'no ' if is_pure else ''}compiled kernel, {time.monotonic() - started:.0f} s"
        )
    return 0


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:] == ["--pure"]))
