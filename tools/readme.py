"""Run the code of the README and write what it prints below it; `--check` only compares.

A line of a `console` block that begins with `$ ` is a command; what stands below it, up to the
next one, is what it prints. `python` blocks run too, and must not fail. All code runs in the
README's order in one new folder, which holds `samples` and nothing else, on a terminal of 80
columns without colours; messages go to a pipe, so that there is no progress bar.
"""

from __future__ import annotations

import argparse
import difflib
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"(?<=```console\n)\$ .*?(?=^```)|(?<=```python\n).*?(?=^```)", re.S | re.M)
SECONDS = 300  # for one command


def printed(command: str, folder: Path) -> str:
    """Return what a command prints, the results before the messages; exits if it fails."""
    master, terminal = pty.openpty()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {"PATH": path, "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "80", "LANG": "C.UTF-8"}
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=messages,
            env={**os.environ, **settings},
        )
        os.close(terminal)
        try:
            found = read_all(master, time.monotonic() + SECONDS)
            code = process.wait(10)
        finally:
            process.kill()
            os.close(master)
        messages.seek(0)
        found += messages.read()
    lines = found.decode().replace("\r\n", "\n").splitlines()
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    if code:
        sys.exit(f"README.md: {command!r} ended with {code}:\n{text}")
    return text


def read_all(master: int, end: float) -> bytes:
    """Read a terminal until nothing holds it any more."""
    found = b""
    while time.monotonic() < end:
        if not select.select([master], [], [], 1)[0]:
            continue
        try:
            more = os.read(master, 65536)
        except OSError:  # how Linux says that the last process has closed the terminal
            break
        if not more:
            break
        found += more
    return found


def rewritten(text: str) -> str:
    """Return the README with the output that its commands have today."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "samples").symlink_to(ROOT / "samples")

        def run(block: re.Match[str]) -> str:
            if not block[0].startswith("$ "):
                printed(shlex.join(["python", "-c", block[0]]), folder)
                return block[0]
            commands = [line for line in block[0].splitlines() if line.startswith("$ ")]
            return "".join(f"{line}\n{printed(line[2:], folder)}" for line in commands)

        return BLOCK.sub(run, text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on drift")
    check = parser.parse_args().check
    before = README.read_text("utf-8")
    after = rewritten(before)
    if before == after:
        return 0
    if check:
        sys.stdout.writelines(
            difflib.unified_diff(
                before.splitlines(True), after.splitlines(True), "README.md", "what is printed"
            )
        )
        return 1
    README.write_text(after, "utf-8")
    print("written: README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
