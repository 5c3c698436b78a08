"""A process that ends, meets a full disk or a foreign file, at a chosen step of its writing.

One process imports featcli and then makes a child of itself for each try: a try takes some ten
milliseconds, so that each step of a whole run can be tried.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Self

from conftest import environment

SERVER = """
import errno, importlib, io, json, os, pathlib, signal, sys

class Counter:
    def __init__(self, step, how, name):
        self.left, self.how, self.name = step, how, name
    def reached(self):
        self.left -= 1
        if self.how == "taken" and self.left == 0 and os.path.isdir(os.path.dirname(self.name)):
            try:
                with open(self.name, "x") as foreign:
                    foreign.write("precious")
            except FileExistsError:
                pass
        if self.how == "killed" and self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "full" and self.left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    def before(self, function):
        def call(*args, **kwargs):
            self.reached()
            return function(*args, **kwargs)
        return call
    def hook(self, where, *names):
        for name in names:
            setattr(where, name, self.before(getattr(where, name)))

def at_each_step(counter):
    names = ("link", "unlink", "fsync", "mkdir", "rename", "replace", "rmdir")
    counter.hook(os, *names)
    # Its methods have kept the functions of os that there were when it was imported.
    counter.hook(pathlib.Path, *(set(names) - {"link", "fsync"}), "hardlink_to")
    from featcli.io.store import Store
    counter.hook(Store, "_execute")

def fill_at(counter):
    class Full(io.FileIO):
        write = counter.before(io.FileIO.write)
    plain = pathlib.Path.open
    def opened(path, mode="r", *args, **kwargs):
        if mode == "xb+":
            return io.BufferedRandom(Full(path, "x+"))
        if any(sign in mode for sign in "wxa+"):
            counter.reached()
        return plain(path, mode, *args, **kwargs)
    pathlib.Path.open = opened
    counter.hook(os, "fsync", "link", "mkdir")
    counter.hook(pathlib.Path, "hardlink_to", "mkdir")

def limit(counter):
    import resource
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (counter.left, counter.left))

WAYS = {"killed": at_each_step, "taken": at_each_step, "full": fill_at, "limited": limit}

def run(task):
    os.chdir(task["folder"])
    os.dup2(os.open(task["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(os.open(task["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    if task["how"]:
        WAYS[task["how"]](Counter(task["step"], task["how"], task["name"]))
    from featcli.cli.main import main
    main(task["words"])

for name in sys.argv[1:]:
    importlib.import_module(name)
for line in sys.stdin:
    child = os.fork()
    if not child:
        code = 70
        try:
            run(json.loads(line))
        except SystemExit as stop:
            code = int(stop.code or 0)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
# What most runs need: a try does not import it again.
MODULES = (
    "featcli.cli.main",
    "featcli.batch.tabling",
    "featcli.batch.sharding",
    "featcli.batch.running",
    "featcli.io.columns",
    "featcli.io.outputs",
    "featcli.io.store",
    "featcli.io.tables",
    "featcli.cli.execute",
    "featcli.cli.reporting",
    "featcli.ops.resizing",
    "scipy.ndimage",
    "PIL.PngImagePlugin",
)


class Ended(NamedTuple):
    """How a try ended: as `subprocess` says it, and what stood on stderr."""

    code: int
    stderr: str


class Tries:
    """Runs featcli again and again; a context.

    Parameters
    ----------
    scratch : Path
        Where it may write what was said.
    """

    def __init__(self, scratch: Path) -> None:
        self._out, self._err = scratch / "said.out", scratch / "said.err"

    def __enter__(self) -> Self:
        modules = [name for name in MODULES if _is_there(name)]
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        return self

    def __call__(
        self, folder: Path, *words: str, step: int = 0, how: str = "", name: Path | str = ""
    ) -> Ended:
        """Run `featcli WORDS` in a folder, undisturbed or not.

        Parameters
        ----------
        folder : Path
        *words : str
        step : int
            When it happens.
        how : str
            `"killed"`, or `"full"`: the disk is, from then on; or `"taken"`: somebody else makes a
            file; or `"limited"`: no file may be larger than `step` bytes.
        name : Path
            Of that file.
        """
        task = {"folder": str(folder), "words": words, "step": step, "how": how, "name": str(name)}
        task |= {"out": str(self._out), "err": str(self._err)}
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps(task) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        return Ended(code, self._err.read_text(errors="replace"))

    def __exit__(self, *reason: object) -> None:
        self._server.kill()
        self._server.communicate()


def _is_there(name: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
