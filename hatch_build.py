"""Compile the C kernel for the wheel, if a compiler works; without it, featcli uses SciPy.

The environment variable FEATCLI_BUILD says what is wanted: `pure` for no compiled kernel,
`compiled` for an error where it cannot be built, or one of TARGETS to build for another platform
with ziglang.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What `python -m ziglang cc -target` calls a platform, and what wheels do.
TARGETS = {
    "x86_64-linux-gnu.2.17": "manylinux_2_17_x86_64.manylinux2014_x86_64",
    "aarch64-linux-gnu.2.17": "manylinux_2_17_aarch64.manylinux2014_aarch64",
    "x86_64-linux-musl": "musllinux_1_1_x86_64",
    "aarch64-linux-musl": "musllinux_1_1_aarch64",
    "x86_64-macos.10.15": "macosx_10_15_x86_64",
    "aarch64-macos.11.0": "macosx_11_0_arm64",
    "x86_64-windows-gnu": "win_amd64",
}
FLAGS = ["-O3", "-std=gnu11", "-shared", "-fvisibility=hidden", "-ffp-contract=off", "-w"]
CHECK = "import ctypes, sys; sys.exit(ctypes.CDLL(sys.argv[1]).featcli_check())"


class KernelBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compile the sources in `featcli/engine`; an install succeeds whatever happens here."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for a compiler from PyPI where the machine has none."""
        wanted = _wanted()
        return ["ziglang"] if wanted in TARGETS or (wanted != "pure" and not _compiler()) else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the library into the wheel, or the reason why it is not there."""
        wanted = _wanted()
        sources = Path(self.root, "featcli", "engine")
        # An editable install finds it among the sources, where git ignores it.
        folder = sources if version == "editable" else Path(tempfile.mkdtemp())
        library, note = folder / "_kernel.bin", folder / "_kernel.txt"
        for file in (library, note):
            file.unlink(missing_ok=True)
        reason = "FEATCLI_BUILD=pure" if wanted == "pure" else _build(sources, library, wanted)
        if reason:
            if wanted not in ("", "pure"):
                raise RuntimeError(f"the compiled kernel cannot be built: {reason}")
            note.write_text(reason + "\n")
            self.app.display_warning(f"no compiled kernel, SciPy is used: {reason}")
        else:
            own = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{TARGETS.get(wanted, own)}"
        made = note if reason else library
        if version != "editable":
            build_data["force_include"][str(made)] = f"featcli/engine/{made.name}"


def _wanted() -> str:
    """Return the value of FEATCLI_BUILD; raises RuntimeError for one that means nothing."""
    wanted, known = os.environ.get("FEATCLI_BUILD", ""), ("pure", "compiled", *TARGETS)
    if wanted and wanted not in known:
        raise RuntimeError(f"FEATCLI_BUILD must be one of {', '.join(known)}, not {wanted!r}")
    return wanted


def _compiler() -> list[str]:
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and shutil.which(name.split()[0]):
            return name.split()
    return []


def _build(folder: Path, library: Path, target: str) -> str:
    """Compile and check; return what went wrong."""
    fingerprint = 0
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".c", ".h")):
        fingerprint = zlib.crc32(path.read_bytes(), fingerprint)
    command = [] if target in TARGETS else _compiler()
    command = command or [sys.executable, "-m", "ziglang", "cc"]
    command += ["-target", target] if target in TARGETS else []
    command += [] if "windows" in (target or sys.platform) or sys.platform == "win32" else ["-fPIC"]
    command += [
        *FLAGS,
        f"-DFINGERPRINT={fingerprint}u",
        "-o",
        str(library),
        str(folder / "kernel.c"),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=900, errors="replace"
        )
        if done.returncode:
            return f"{command[0]} failed: " + " ".join(done.stderr.split())[:300]
        check = [sys.executable, "-c", CHECK, str(library)]
        if target not in TARGETS and subprocess.run(check, timeout=60).returncode:
            return "its self-check failed"
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return ""
