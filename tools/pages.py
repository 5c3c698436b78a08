"""Run the code blocks of the documentation, and write below each command what it prints.

With `--check` nothing is written: the output on the page is compared, and the exit code is 1 where
it differs. `--quick` leaves out the blocks that are marked as slow. Pages that are named, such as
`docs/lesson.md`, are run alone.

The blocks of a page run in the page's order in one new folder, which holds `samples`:

- `console`: a line that begins with `$ ` is a command; what stands below it, up to the next one, is
  what it prints, on a terminal of 80 columns without colours. Messages follow the results, and go
  to a pipe, so that there is no progress bar.
- `sh`: a script of bash that must succeed; what it prints is not shown.
- `python`: code that must not fail.
- `text`: no code. Every other block needs a mark.

Marks are comments right above a block, which readers do not see:

    <!-- not run: WHY -->         such as a command that installs something
    <!-- slow: WHY -->            left out with --quick
    <!-- needs: MODULE ... -->    run only where these modules are installed

`<!-- run first: COMMAND -->` makes what the next block that is run needs.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib.util
import io
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN = ("console", "sh", "python")
MARK = re.compile(r"<!-- (not run|slow|needs): ((?:(?!-->).)*?) -->", re.S)
PIECE = re.compile(
    r"<!-- run first: (?P<first>(?:(?!-->).)*) -->"
    r"|(?P<marks>(?:<!-- (?:not run|slow|needs): (?:(?!-->).)*-->\s*)*)"
    r"^```(?P<kind>\S*)\n(?P<code>.*?)^```$",
    re.S | re.M,
)
SETTINGS = {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "80", "LANG": "C.UTF-8"}
SECONDS = 300  # for one command


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with its marks and the number of its first line."""

    kind: str
    code: str
    marks: dict[str, str]
    line: int

    @classmethod
    def of(cls, piece: re.Match[str]) -> Block:
        """Make a block of what PIECE has found."""
        line = piece.string.count("\n", 0, piece.start("code")) + 1
        return cls(piece["kind"], piece["code"], dict(MARK.findall(piece["marks"])), line)

    @property
    def problem(self) -> str | None:
        """What keeps this block from being run or being marked as not run."""
        if "not run" in self.marks or self.kind == "text":
            return None
        if self.kind not in RUN:
            return f"a block of {self.kind or 'no kind'} needs a mark: <!-- not run: WHY -->"
        if self.kind == "console" and not self.code.startswith("$ "):
            return "a block of console begins with a command: $ COMMAND"
        return None

    def is_run(self, quick: bool) -> bool:
        """Whether the block runs here: it is marked otherwise, or a module is missing."""
        missing = [one for one in self.needed if importlib.util.find_spec(one) is None]
        left_out = missing or "not run" in self.marks or (quick and "slow" in self.marks)
        return self.kind in RUN and not left_out

    @property
    def needed(self) -> list[str]:
        """The modules without which the block cannot run."""
        return self.marks.get("needs", "").split()


def pages() -> list[Path]:
    """Return every page of the documentation."""
    places = ("*.md", "docs/**/*.md", "samples/*.md", "benchmarks/*.md", "examples/*/*.md")
    return [path for place in places for path in sorted(ROOT.glob(place))]


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [Block.of(piece) for piece in PIECE.finditer(text) if piece["first"] is None]


def printed(command: str, folder: Path) -> str:
    """Return what a command prints, the results before the messages; raises if it fails."""
    master, terminal = pty.openpty()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            ["bash", "-ec", command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=messages,
            env={**os.environ, **SETTINGS, "PATH": path},
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
        raise RuntimeError(f"{command!r} ended with {code}:\n{text}")
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


def run_python(code: str, folder: Path) -> None:
    """Run Python code in this process, which has imported what earlier blocks have."""
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, "<the block>", "exec"), {"__name__": "__main__"})


def after_running(block: Block, folder: Path) -> str:
    """Run a block, and return its code with the output of today."""
    if block.kind == "python":
        run_python(block.code, folder)
    if block.kind == "sh":
        printed(block.code, folder)
    if block.kind != "console":
        return block.code
    commands = [line for line in block.code.splitlines() if line.startswith("$ ")]
    return "".join(f"{line}\n{printed(line[2:], folder)}" for line in commands)


def rewritten(text: str, quick: bool) -> str:
    """Return a page with the output that its commands have today."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "samples").symlink_to(ROOT / "samples")

        first: list[str] = []

        def run(piece: re.Match[str]) -> str:
            if piece["first"] is not None:
                first.append(piece["first"])
                return piece[0]
            block = Block.of(piece)
            if block.problem:
                raise ValueError(f"line {block.line}: {block.problem}")
            if not block.is_run(quick):
                return piece[0]
            try:
                while first:
                    printed(first.pop(0), folder)
                code = after_running(block, folder)
            except Exception as error:
                said = traceback.format_exc() if block.kind == "python" else error
                raise ValueError(f"line {block.line}: {said}") from None
            return f"{piece['marks']}```{block.kind}\n{code}```"

        return PIECE.sub(run, text)


def is_true(path: Path, check: bool, quick: bool) -> bool:
    """Say whether a page shows what its commands print; write it anew, or show the difference."""
    page = path.relative_to(ROOT)
    before = path.read_text("utf-8")
    try:
        after = rewritten(before, quick)
    except ValueError as error:
        sys.exit(f"{page}, {error}")
    if before != after and check:
        lines = before.splitlines(True), after.splitlines(True)
        sys.stdout.writelines(difflib.unified_diff(*lines, str(page), "what is printed"))
    elif before != after:
        path.write_text(after, "utf-8")
        print(f"written: {page}")
    return before == after


def chosen(names: list[str]) -> Iterator[Path]:
    """Give the pages that were named, else all that have anything to run."""
    for path in [ROOT / name for name in names] or pages():
        if names or PIECE.search(path.read_text("utf-8")):
            yield path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on drift")
    parser.add_argument("--quick", action="store_true", help="leave the slow blocks out")
    parser.add_argument("pages", nargs="*", metavar="PAGE")
    given = parser.parse_args()
    drifted = [one for one in chosen(given.pages) if not is_true(one, given.check, given.quick)]
    return int(bool(given.check and drifted))


if __name__ == "__main__":
    sys.exit(main())
