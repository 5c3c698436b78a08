"""Thumbnails of images for HTML pages."""

from __future__ import annotations

import io
from pathlib import Path

from featcli.cli.messages import counted
from featcli.errors import FeatError
from featcli.io.options import ReadOptions

_QUALITY = 80


def thumbnail(path: Path | None) -> bytes | None:
    """Return a small JPEG of an image; None if the file is missing or cannot be read."""
    from PIL import Image

    from featcli.io.reading import read_file
    from featcli.models.stages import small
    from featcli.view.mapping import choose, to_pixels

    if path is None or not path.is_file():
        return None
    try:
        sample = read_file(path, path.name, ReadOptions())
    except (FeatError, OSError):
        return None
    if not sample.frames or sample.frames[0].kind != "maps":
        return None
    data = sample.frames[0].data
    bands = data[:, :, :3] if data.shape[2] >= 3 else data[:, :, 0]
    drawn = to_pixels(small(bands), choose(bands))
    stream = io.BytesIO()
    Image.fromarray(drawn).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


class Thumbnails:
    """Makes thumbnails, and counts the images that were not found.

    Attributes
    ----------
    missing : int
    """

    def __init__(self) -> None:
        self.missing = 0

    def of(self, path: Path | None) -> bytes | None:
        """Return the thumbnail of an image, or None."""
        found = thumbnail(path)
        self.missing += found is None
        return found

    def message(self) -> str:
        """Return a message with the number of missing images."""
        missing = counted(self.missing, "image was", "images were")
        return f"{missing} not found: the page has placeholders"
