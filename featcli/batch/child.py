"""The parent's handle of a worker process, which processes one input at a time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

from featcli import cores
from featcli.batch import channel

_CODE = "import sys; sys.path[:] = sys.argv[1:]; from featcli.batch.worker import main; main()"


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Delay Ctrl-C while a process starts; in that process it is blocked until it is ignored."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Child:
    """A worker process; messages arrive as `(child, message)`, and `(child, None)` at the end.

    Parameters
    ----------
    start : bytes
        The first message, a packed `Start` or `PackedStart`.
    inbox : SimpleQueue
        Receives its messages.
    folder : str, optional
        Its working folder, if not the current one.

    Attributes
    ----------
    inbox : SimpleQueue
    held : object
        The input in progress; None while it waits.
    began : float
        When it began this input, in seconds of `time.monotonic`.
    is_ready : bool
        Whether it has reported that it is ready for inputs.
    """

    def __init__(self, start: bytes, inbox: SimpleQueue[Any], folder: str | None = None) -> None:
        words = [path or str(Path.cwd()) for path in sys.path]
        environment = {**os.environ, **cores.ENVIRONMENT}
        with _interrupts_blocked():
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-c", _CODE, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                cwd=folder,
            )
        self.inbox = inbox
        self.held: Any = None
        self.began = 0.0
        self.is_ready = False
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()
        self._send(start)

    @property
    def is_idle(self) -> bool:
        """Whether it waits for an input."""
        return self.is_ready and self.held is None

    def _listen(self, inbox: SimpleQueue[Any]) -> None:
        answers: BinaryIO = self.process.stdout  # type: ignore[assignment]
        try:
            while True:
                inbox.put((self, channel.receive(answers)))
        except (EOFError, OSError, ValueError):
            inbox.put((self, None))

    def _send(self, data: bytes) -> None:
        # If the process has died, `_listen` notices it.
        with contextlib.suppress(OSError):
            channel.send_packed(self.process.stdin, data)  # type: ignore[arg-type]

    def give(self, held: Any, task: Any) -> None:
        """Send it a task; `held` identifies the task for the parent."""
        self.held, self.began = held, time.monotonic()
        self._send(channel.pack(task))

    def ended(self) -> str:
        """Wait for the end of a process that died, and return the reason as text."""
        code = self.process.wait()
        self.close()
        return _reason(code)

    def kill(self) -> None:
        """Kill it at once."""
        self.process.kill()
        self.process.wait()
        self.close()

    def ask_to_end(self) -> None:
        """Ask it to end; a busy one is terminated, and removes its unfinished files."""
        if self.held is not None or not self.is_ready:
            self.process.terminate()
        with contextlib.suppress(OSError):
            self.process.stdin.close()  # type: ignore[union-attr]

    def end(self, deadline: float) -> None:
        """Wait for its end until `deadline`, then kill it."""
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.close()

    def close(self) -> None:
        """Close its pipes."""
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError, AttributeError):
                stream.close()  # type: ignore[union-attr]


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{name} (out of memory?)" if name == "SIGKILL" else name
