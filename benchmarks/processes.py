"""Time whole processes in turn: A B C A B C ..., so that a drifting machine is fair to all."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

Command = list[str]


@dataclass
class Timing:
    """What was measured of one command."""

    seconds: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def megabytes(self) -> float:
        return max(self.peak) / 1024


def in_turn(
    commands: Mapping[str, Command],
    rounds: int,
    before: Callable[[], None] = lambda: None,
) -> dict[str, Timing]:
    """Run every command once to warm up, then `rounds` times in turn; `before` cleans up."""
    timings = {name: Timing() for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            before()
            seconds, peak = once(command)
            if turn:
                timings[name].seconds.append(seconds)
                timings[name].peak.append(peak)
    return timings


def once(command: Command) -> tuple[float, int]:
    """Run a command and return its seconds and its peak memory in KiB; it must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment())
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return seconds, usage.ru_maxrss


def apart(work: Callable[..., None], *arguments: object) -> None:
    """Do something in a process of its own: a child's peak memory begins with its parent's."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def environment() -> dict[str, str]:
    """Leave out what makes OpenBLAS run another processor's kernels, or Python compile anew."""
    unwanted = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def featcli(*arguments: object) -> Command:
    """Return the installed command of this environment."""
    return [str(Path(sys.executable).with_name("featcli")), *map(str, arguments)]


def rows(timings: Mapping[str, Timing], ours: str, targets: Mapping[str, str]) -> list[str]:
    """Write a Markdown table: medians, and ours as a multiple of each."""
    lines = [
        "| command | median | peak memory | featcli takes | to reach |",
        "|---|---|---|---|---|",
    ]
    for name, one in timings.items():
        ratio = "" if name == ours else f"{timings[ours].median / one.median:.2f} x"
        lines.append(
            f"| {name} | {one.median * 1000:.0f} ms | {one.megabytes:.0f} MB | {ratio} "
            f"| {targets.get(name, '')} |"
        )
    return lines
