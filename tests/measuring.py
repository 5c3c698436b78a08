"""What a command of featcli took: a process of its own measures it.

It measures the command that it starts: its peak of memory, and how long it is let run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple

from conftest import environment

_MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[2:], capture_output=True, timeout=float(sys.argv[1]))
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
lines = done.stderr.decode("utf-8", "replace").splitlines()
print(json.dumps([done.returncode, peak, lines, done.stdout.decode("utf-8", "replace")]))
"""


class Measured(NamedTuple):
    """What became of a command; `peak` is in MiB."""

    code: int
    peak: int
    lines: list[str]
    out: str


def measure(*arguments: str) -> Measured:
    """Run featcli in the current folder and say what it took."""
    command = [sys.executable, "-m", "featcli", *arguments]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, "100", *command],
        capture_output=True,
        env=environment(),
        timeout=120,
        check=True,
    )
    return Measured(*json.loads(done.stdout))
