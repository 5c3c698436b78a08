"""Run the code of the README and of the lesson, and write what it prints below it.

With `--check` it is only compared; a name, such as `docs/lesson.md`, means that page alone.

A line of a `console` block that begins with `$ ` is a command; what stands below it, up to the
next one, is what it prints. `python` blocks run too, and must not fail. All code runs in the
page's order in one new folder, which holds `samples` and nothing else, on a terminal of 80
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
PAGES = ("README.md", "docs/lesson.md")
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
        sys.exit(f"{command!r} ended with {code}:\n{text}")
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
    """Return a page with the output that its commands have today."""
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
    parser.add_argument("pages", nargs="*", default=PAGES)
    given = parser.parse_args()
    drifted = [page for page in given.pages if not is_true(page, given.check)]
    return int(bool(given.check and drifted))


def is_true(page: str, check: bool) -> bool:
    """Say whether a page shows what its commands print; write it anew, or show the difference."""
    path = ROOT / page
    before = path.read_text("utf-8")
    after = rewritten(before)
    if before != after and check:
        lines = before.splitlines(True), after.splitlines(True)
        sys.stdout.writelines(difflib.unified_diff(*lines, page, "what is printed"))
    elif before != after:
        path.write_text(after, "utf-8")
        print(f"written: {page}")
    return before == after


if __name__ == "__main__":
    sys.exit(main())
