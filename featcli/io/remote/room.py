"""A temporary folder that goes with whoever needs it, however that ends but by SIGKILL."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path


class Room:
    """A temporary folder.

    Attributes
    ----------
    path : Path
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="featcli-")).resolve()
        self._end = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def close(self) -> None:
        """Take it away."""
        self._end()
