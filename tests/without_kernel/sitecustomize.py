"""Hides the compiled kernel from every Python that has this folder on its PYTHONPATH."""

from pathlib import Path

from featcli.engine import library

library.FILE = Path(__file__).parent / "there-is-none"
