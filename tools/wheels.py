"""Build what is published, and check it: the wheel of every platform, the one without the compiled
kernel, and the source distribution.

python tools/wheels.py FOLDER [TARGET...]

TARGET is one of hatch_build.py, or `pure` for no compiled kernel; without any, all are built.
Needs the extra `release`. Wheels of other platforms are cross-compiled with ziglang.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
NEEDED = ["featcli/py.typed", "featcli/data/kernels/vertical.toml", "share/man/man1/featcli.1"]
NEEDED += ["licenses/LICENSE", "licenses/NOTICE"]
SOURCES = [
    "tests/conftest.py",
    ".ci/run",
    "samples/cat.jpg",
    "pyproject.toml",
    "examples/featcli-median/pyproject.toml",
]
# What a library of each platform begins with, and the newest glibc that a wheel's tag promises.
MAGIC = {"linux": b"\x7fELF", "macosx": b"\xcf\xfa\xed\xfe", "win": b"MZ"}
GLIBC = re.compile(rb"GLIBC_2\.(\d+)")


def build(target: str, folder: Path) -> None:
    """Build the wheel for one target of hatch_build.py, or for `pure`."""
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(ROOT),
    ]
    environment = {**os.environ, "FEATCLI_BUILD": target}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the wheel for {target} cannot be built:\n{done.stdout}{done.stderr}")


def check_wheel(wheel: Path) -> None:
    """Refuse a wheel that lacks a file, or whose library is of another platform than its name."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for needed in NEEDED:
            assert any(name.endswith(needed) for name in names), f"{wheel.name} lacks {needed}"
        assert not any("__pycache__" in name or name.startswith("tests/") for name in names)
        tag = wheel.stem.split("-")[-1]
        libraries = [name for name in names if name.endswith("_kernel.bin")]
        if tag == "any":
            assert not libraries, f"{wheel.name} has a library"
            return
        (library,) = libraries
        code = archive.read(library)
    system = next(name for name in MAGIC if name in tag)
    assert code.startswith(MAGIC[system]), f"{wheel.name}: {library} is of another system"
    if "manylinux" in tag:
        newest = max((int(number) for number in GLIBC.findall(code)), default=0)
        assert newest <= 17, f"{wheel.name} needs glibc 2.{newest}, its name says 2.17"


def check_sdist(sdist: Path) -> None:
    """Refuse a source distribution in which the tests could not be run."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in SOURCES:
        assert needed in names, f"{sdist.name} lacks {needed}"


def main(folder: Path, targets: list[str]) -> int:
    """Build, in place of what was built before, and check it."""
    from hatch_build import TARGETS

    for old in (*folder.glob("featcli-*.whl"), *folder.glob("featcli-*.tar.gz")):
        old.unlink()
    for target in targets or ["pure", *TARGETS]:
        build(target, folder)
        print(f"built for {target}", flush=True)
    sdist = [
        sys.executable,
        "-m",
        "build",
        "--sdist",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(sdist, check=True, capture_output=True)
    for wheel in folder.glob("*.whl"):
        check_wheel(wheel)
    for archive in folder.glob("*.tar.gz"):
        check_sdist(archive)
    made = sorted(map(str, folder.iterdir()))
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *made], check=True)
    for wheel in folder.glob(f"*manylinux*_{platform.machine()}.whl"):
        subprocess.run([sys.executable, "-m", "auditwheel", "show", str(wheel)], check=True)
    print(f"{len(made)} files are ready to be published")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
