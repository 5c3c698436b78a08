"""Runs the tests with the lowest versions that pyproject.toml allows, or with the newest.

python tools/versions.py lowest [PYTEST ARGUMENTS...]
python tools/versions.py newest [PYTEST ARGUMENTS...]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ["pytest", "pytest-xdist", "pytest-timeout", "hypothesis", "ruff", "selenium"]
TOOLS += ["moto[server]"]
EXTRAS = ("parquet", "formats", "large", "zarr", "dask", "remote", "fast", "onnx")


def wanted(which: str) -> list[str]:
    """Return what pip is to install: each requirement at its lower bound, or as high as it goes.

    The packages of the extras that users install are among them.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    required = [*project["dependencies"], *(one for extra in EXTRAS for one in optional[extra])]
    if which == "newest":
        return ["--upgrade", *required]
    return [one.replace(">=", "==") for one in required]


def main(which: str, arguments: list[str]) -> int:
    """Install into an environment of its own, and return what pytest returns."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        pip = [python, "-m", "pip", "install", "-q"]
        subprocess.run([*pip, *wanted(which), *TOOLS], check=True)
        subprocess.run([*pip, "--no-deps", "-e", str(ROOT)], check=True)
        subprocess.run([python, "-m", "pip", "list"], check=True)
        command = [python, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    if sys.argv[1:2] not in (["lowest"], ["newest"]):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
