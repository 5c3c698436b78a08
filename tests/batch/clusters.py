"""Clusters of real processes on this machine, for tests: a scheduler and its workers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import environment


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Processes:
    """A scheduler and workers, each a process of `distributed`.

    `env` is what the environment of all of them has besides.
    """

    def __init__(self, folder: Path, protocol: str = "tcp", **env: str) -> None:
        self.folder, self.port, self._env = folder, free_port(), env
        self._protocol, self.address = protocol, f"{protocol}://127.0.0.1:{self.port}"
        self.scheduler = self._scheduler()
        self.workers: list[subprocess.Popen] = []

    def _start(self, *words: str, **env: str) -> subprocess.Popen:
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{words[0]}", *words[1:]],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment(**(self._env | env)),
            )

    def _scheduler(self) -> subprocess.Popen:
        where = ("--host", "127.0.0.1", "--port", str(self.port), "--protocol", self._protocol)
        started = self._start("dask_scheduler", *where, "--no-dashboard")
        self._wait(lambda: self._answers() or started.poll() is not None)
        return started

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    @staticmethod
    def _wait(condition) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "the cluster does not start"
            time.sleep(0.05)

    def restart_scheduler(self) -> None:
        self.scheduler.kill()
        self.scheduler.wait()
        self.scheduler = self._scheduler()

    def add_worker(self, nanny: bool = False, **env: str) -> subprocess.Popen:
        words = [self.address, "--nthreads", "1", "--no-dashboard"]
        words += [] if nanny else ["--no-nanny"]
        self.workers.append(self._start("dask_worker", *words, **env))
        return self.workers[-1]

    def wait_for_workers(self, count: int) -> None:
        code = (
            "import distributed, sys; c = distributed.Client(sys.argv[1], timeout=30);"
            " c.wait_for_workers(int(sys.argv[2]), timeout=60)"
        )
        command = [sys.executable, "-c", code, self.address, str(count)]
        subprocess.run(command, check=True, timeout=120, env=environment(**self._env))

    def close(self) -> None:
        for one in [*self.workers, self.scheduler]:
            one.terminate()  # a nanny takes its worker along
        for one in [*self.workers, self.scheduler]:
            try:
                one.wait(10)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


@contextmanager
def cluster(
    folder: Path, workers: int = 2, protocol: str = "tcp", **env: str
) -> Iterator[Processes]:
    folder.mkdir(parents=True, exist_ok=True)
    found = Processes(folder, protocol, **env)
    try:
        for _ in range(workers):
            found.add_worker()
        if workers:
            found.wait_for_workers(workers)
        yield found
    finally:
        found.close()


def with_module(folder: Path, code: str) -> dict[str, str]:
    """An environment in which every Python that starts runs this code first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.getenv("PYTHONPATH")])])}
