"""The connection to a Dask scheduler; the only module that uses `distributed`."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from featcli import cores
from featcli.batch import alike, channel, foreman
from featcli.batch.addresses import LOCAL
from featcli.errors import FeatError
from featcli.extras import extra

_TIMEOUT = 5.0  # seconds for a scheduler to answer
_CLOSING = 3.0  # seconds for workers to stop their work


class Line:
    """A connection to a scheduler.

    Parameters
    ----------
    address : str
    """

    def __init__(self, address: str) -> None:
        self._dask = extra("distributed", "dask")
        logging.disable(logging.CRITICAL)  # featcli reports errors itself, in one line
        self._address, self._own = address, None
        if address.partition(":")[0] == LOCAL:
            self._own = self._started(int(address.partition(":")[2] or cores.allowed()))
        self._client = self._connected(self._own or address)

    def _connected(self, to: Any) -> Any:
        """Connect in limited time, even if another kind of server listens there."""
        found: list[Any] = []

        def open_client() -> None:
            try:
                found.append(self._dask.Client(to, timeout=_TIMEOUT, set_as_default=False))
            except Exception as error:  # other servers can cause any exception
                found.append(error)

        thread = threading.Thread(target=open_client, daemon=True)
        thread.start()
        thread.join(_TIMEOUT + 1)
        client = found[0] if found else TimeoutError()
        if isinstance(client, Exception):
            raise FeatError(f"--scheduler {self._address}: {self._reason(client)}")
        return client

    def _reason(self, error: Exception) -> str:
        """Return why the connection failed."""
        is_secure, nobody = self._address.startswith("tls:"), "no scheduler of Dask answers there"
        if is_secure and isinstance(error, (TypeError, FileNotFoundError)):
            return (
                "the certificates of this side are not there: DASK_DISTRIBUTED__COMM__TLS__CA_FILE,"
                " ..._TLS__CLIENT__CERT and ..._TLS__CLIENT__KEY name their files"
            )
        if isinstance(error, (ValueError, TypeError)):
            return str(error)
        return f"{nobody}, or one that does not accept the certificates" if is_secure else nobody

    def _started(self, threads: int) -> Any:
        """Start a scheduler and a worker in this process; the worker starts other processes."""
        return self._dask.LocalCluster(
            n_workers=1,
            threads_per_worker=threads,
            processes=False,
            protocol="inproc://",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )

    @property
    def is_open(self) -> bool:
        """Whether the scheduler is connected."""
        return self._client.status == "running"

    def check(self, say: Callable[[str], None]) -> None:
        """Compare versions of workers with those here; raises FeatError where they must agree."""
        self._check_pythons()
        ours, notes = alike.here(), dict[str, str]()
        for address, theirs in self._ask(_versions).items():
            if isinstance(theirs, BaseException):
                raise FeatError(f"the worker {address} cannot be asked for its versions: {theirs}")
            if text := alike.refusal(theirs, ours, f"the worker {address}"):
                raise FeatError(text)
            if text := alike.difference(theirs, ours):
                notes.setdefault(text, address)
        for text, address in notes.items():
            say(f"the worker {address} differs: {text}; the last digits of results may, too")

    def _check_pythons(self) -> None:
        """Check that Python versions agree, before sending any code; raises FeatError."""
        for address, found in self._client.get_versions()["workers"].items():
            theirs = str(found["host"]["python"]).split(".")[:2]
            if theirs != list(platform.python_version_tuple()[:2]):
                ours = alike.here()["Python"]
                raise FeatError(
                    f"the worker {address} has Python {'.'.join(theirs)}, not {ours} as here: "
                    "install the same there"
                )

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._client.run(function, *arguments, on_error="return")
        return found

    def sees(self, path: Path) -> bool:
        """Return whether all workers have the same file at this path."""
        try:
            found = self._ask(_probe, os.getcwd(), str(path)).values()  # noqa: PTH109
            return all(one == _probe(os.getcwd(), str(path)) for one in found)  # noqa: PTH109
        except OSError as error:
            raise self.explained(error) from error

    def unreachable(self, address: str, content: bytes) -> str:
        """Return why a worker cannot read an object; empty if all can."""
        try:
            found = self._ask(foreman.unreachable, address, content)
        except OSError as error:
            raise self.explained(error) from error
        return next((f"the worker {worker}: {one}" for worker, one in found.items() if one), "")

    def threads(self) -> int:
        """Return the number of worker threads; raises FeatError if the scheduler is gone."""
        if not self.is_open:
            raise self.explained(OSError())
        try:
            return sum(self._client.nthreads().values())
        except (OSError, RuntimeError, ValueError, TimeoutError) as error:
            raise self.explained(error) from error

    def submit(self, contract: bytes, run: str, chunk: bytes) -> Any:
        """Send a chunk; return the future of its report."""
        return self._client.submit(_work, contract, run, chunk, pure=False)

    def when_done(self, future: Any, tell: Callable[[Any], None]) -> None:
        """Call `tell`, in another thread, with the report of a chunk or an error."""

        def done(finished: Any) -> None:
            try:
                found = channel.unpack(finished.result())
            except BaseException as error:
                found = error
            tell(found)

        future.add_done_callback(done)

    def is_worker_lost(self, error: BaseException) -> bool:
        """Return whether a chunk failed because workers died."""
        return isinstance(error, self._dask.KilledWorker)

    def explained(self, error: BaseException) -> BaseException:
        """Return an error that says in one line why the run ends."""
        if isinstance(error, (FeatError, KeyboardInterrupt)):
            return error
        if not self.is_open or isinstance(error, OSError):
            return FeatError(
                f"{self._address}: the scheduler is gone: the same command goes on when it is back"
            )
        return FeatError(f"{self._address}: {type(error).__name__}: {error}")

    def close(self, futures: list[Any], end: Callable[[str], None], run: str) -> None:
        """Cancel all work in progress, and disconnect."""
        with contextlib.suppress(Exception):
            if self.is_open:
                self._client.cancel(futures, force=True)
                self._client.sync(self._client._run, end, run, on_error="ignore",
                                  callback_timeout=_CLOSING)  # fmt: skip
        for one in filter(None, (self._client, self._own)):
            with contextlib.suppress(Exception):
                one.close(timeout=_CLOSING)
        logging.disable(logging.NOTSET)


def connect(address: str, say: Callable[[str], None]) -> Line:
    """Connect to a scheduler, and check the versions of its workers.

    Raises
    ------
    FeatError
        If no scheduler answers, or versions of a worker differ.
    """
    line = Line(address)
    try:
        line.check(say)
    except BaseException:
        line.close([], foreman.end, "")
        raise
    return line


# Dask sends these functions as code, so that a worker without featcli can run them too.


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        from featcli.batch.alike import here

        return here()
    except ImportError:
        try:
            return {"featcli": f"{version('featcli')} (which knows no clusters)"}
        except PackageNotFoundError:
            return {}


def _probe(folder: str, name: str) -> tuple[int, str] | None:
    import hashlib
    import os

    path = os.path.join(folder, name)  # noqa: PTH118
    try:
        with open(path, "rb") as stream:  # noqa: PTH123
            digest = hashlib.sha256(stream.read(1_000_000)).hexdigest()
        return os.path.getsize(path), digest  # noqa: PTH202
    except OSError:
        return None


_versions.__module__ = _probe.__module__ = "__main__"


def _work(contract: bytes, run: str, chunk: bytes) -> bytes:
    """Process a chunk, as a Dask task."""
    worker = extra("distributed", "dask").get_worker()
    return foreman.work(contract, run, chunk, worker.state.nthreads)
