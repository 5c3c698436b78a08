"""The heat map of `features --heat`: a value of each tile, drawn over the image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from featcli.cli import saving
from featcli.cli.frames import one_frame
from featcli.cli.settings import Settings
from featcli.errors import FeatError, UsageError, nearest
from featcli.frame import Array, Frame
from featcli.models.extraction import Extraction
from featcli.models.model import Model

if TYPE_CHECKING:
    from featcli.view.picture import Picture


def draw_heat(
    path: str, of: str | None, model: Model, pipeline: Extraction, settings: Settings
) -> None:
    """Write the heat map, and print its path.

    Raises
    ------
    UsageError
        An unsuitable file name, several images, or a value that the layer does not have.
    FeatError
        The image cannot be read, or is smaller than a tile.
    """
    from featcli.io import reports

    names = settings.sources.inputs
    if (
        len(names) != 1
        or settings.sources.from_file
        or (names[0] != "-" and Path(names[0]).is_dir())
    ):
        raise UsageError("--heat takes one image: name one file")
    saving.check_suffix("--heat", path, ".png")
    if settings.sources.is_stdin:
        raise UsageError("--heat: name a file; standard input cannot be read twice")
    overwrite = settings.output.writing.overwrite
    given = [Path(names[0])]
    reports.check([Path(path)], overwrite, given)
    reading = settings.reading.options_for(pipeline)
    frame = one_frame(names[0], reading, settings.printing.quiet)
    picture = _draw(of, model, pipeline, frame)
    saving.write({path: reports.as_png(picture)}, overwrite, given)


def _draw(of: str | None, model: Model, pipeline: Extraction, frame: Frame) -> Picture:
    from featcli.models.tiling import heat
    from featcli.trace import Heat
    from featcli.view import tiles as sheets
    from featcli.view.explain.answer import overlay

    if pipeline.has_several_vectors:
        raise UsageError("--heat takes a single --layer")
    assert pipeline.tiling is not None
    results = pipeline.run(frame)
    places = pipeline.tiling.tiles(*frame.data.shape[:2])
    vectors = np.stack([one.data for one in results])
    values, name = _values(of, vectors, model)
    photo = _photo(frame, model)
    whole = heat(places, values - min(0.0, float(values.min())), *photo.shape[:2])
    found = Heat(name, 0.0, whole, (0.0, 0.0, 1.0, 1.0), "")
    size = "x".join(map(str, pipeline.tiling.size))
    return sheets.draw(
        f"{model.name}: {name} in {len(places)} tiles of {size}",
        f"from {values.min():.3g} to {values.max():.3g}; each pixel is the mean of its tiles",
        [sheets.Tile("image", photo), sheets.Tile(name, overlay(photo, found))],
        across=2,
        largest=640,
    )


def _values(of: str | None, vectors: Array, model: Model) -> tuple[Array, str]:
    """Return a number for each tile, and its name."""
    count = vectors.shape[1]
    if of is None:
        return np.linalg.norm(vectors.astype(np.float64), axis=1), "length of the vector"
    names = model.labels if len(model.labels) == count else ()
    if of in names:
        return vectors[:, names.index(of)].astype(np.float64), of
    if of.isdecimal() and int(of) < count:
        number = int(of)
        return vectors[:, number].astype(np.float64), names[number] if names else f"value {of}"
    near = nearest(of, names) or f": give a number of 0 to {count - 1}"
    raise UsageError(f"--heat-of: a tile has no value {of!r}{near}")


def _photo(frame: Frame, model: Model) -> Array:
    """Return the image as 8-bit RGB, of shape (rows, cols, 3)."""
    try:
        pixels = model.pixels(frame.data)
    except ValueError as error:
        raise FeatError(f"{frame.source.file}: {error}") from error
    top = model.description.range
    levels = np.rint(np.clip(pixels.astype(np.float64) * (255 / top), 0, 255)).astype(np.uint8)
    return levels.repeat(3, axis=2) if levels.shape[2] == 1 else levels[:, :, :3]
