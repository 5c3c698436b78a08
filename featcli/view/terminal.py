"""Pictures and matrices for a terminal, as data; the caller prints them with colours."""

from __future__ import annotations

from typing import Any

import numpy as np

from featcli.view.mapping import Array, Levels, numbers

RGB = tuple[int, int, int]
Cell = tuple[RGB, RGB | None]  # upper and lower half; None: below the picture

_MANY_GREYS = 16  # greys from which on dithering would only add noise
_TINY = 48  # height in half-rows to which a small picture is enlarged if none is given


def half_blocks(
    pixels: Levels, columns: int, rows: int | None = None, colours: Levels | None = None
) -> list[list[Cell]]:
    """Fit a picture into a terminal, each character cell showing two pixels, one above the other.

    A cell is about twice as high as wide, so its halves are square and the picture keeps its
    proportions. A larger picture is reduced by averaging over areas; one that fits at least twice
    is enlarged by the greatest whole number that fits, its pixels becoming squares.

    Parameters
    ----------
    pixels : ndarray of uint8, (rows, cols) or (rows, cols, 3)
        At least one pixel.
    columns : int
        The largest width, in cells.
    rows : int, optional
        The largest height, in cells. Without it, a reduced picture may have any height, and small
        pictures are enlarged to at most 24 cells.
    colours : ndarray of uint8, (n, 3), optional
        The palette of the terminal, if it is limited; see `limited`.

    Returns
    -------
    list of rows of (upper, lower)
        Colours as (red, green, blue), 0..255; `lower` is None in the last row if the number of
        pixel rows is odd.

    Raises
    ------
    ValueError
        For pixels of another shape or type, or a size below 1.
    """
    _check_picture(pixels, columns, rows)
    limit = None if rows is None else 2 * rows
    fitted = _fit(pixels, columns, limit)
    if colours is not None:
        fitted = limited(fitted, colours, dither=fitted.shape[1] < pixels.shape[1])
    if fitted.ndim == 2:
        fitted = np.stack([fitted] * 3, axis=2)
    lines: list[list[RGB | None]] = [[(r, g, b) for r, g, b in line] for line in fitted.tolist()]
    if len(lines) % 2:
        lines.append([None] * len(lines[0]))
    return [_cells(upper, lower) for upper, lower in zip(lines[::2], lines[1::2], strict=True)]


def xterm_colours() -> Levels:
    """Return the colours 16..255 of a 256-colour terminal: 6x6x6 colours and 24 greys; (240, 3).

    The first 16 can be changed by the user, and are not used.
    """
    steps = np.array([0, 95, 135, 175, 215, 255], np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    greys = np.arange(8, 248, 10, dtype=np.uint8)[:, np.newaxis].repeat(3, axis=1)
    return np.concatenate([cube, greys])


def limited(pixels: Levels, colours: Levels, dither: bool) -> Levels:
    """Reduce a picture to the colours of a palette; a grey picture to its greys.

    Parameters
    ----------
    pixels : ndarray of uint8, (rows, cols) or (rows, cols, 3)
    colours : ndarray of uint8, (n, 3)
        At most 256.
    dither : bool
        Spread the error over neighbouring pixels (Floyd and Steinberg), for photos; without it,
        equal pixels stay equal. Grey pictures are dithered only if there are few greys.

    Returns
    -------
    ndarray of uint8, (rows, cols, 3)
    """
    from PIL import Image

    grey = pixels.ndim == 2 or bool((pixels == pixels[:, :, :1]).all())
    if grey:
        colours = np.unique(colours[(colours == colours[:, :1]).all(axis=1)], axis=0)
        dither = dither and len(colours) < _MANY_GREYS
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.resize(colours, (256, 3)).tobytes())
    whole = Image.fromarray(pixels).convert("RGB")
    how = Image.Dither.FLOYDSTEINBERG if dither else Image.Dither.NONE
    return np.asarray(whole.quantize(palette=palette, dither=how).convert("RGB"))


def matrix(data: Array, max_rows: int = 24, max_cols: int = 24) -> str:
    """Return the values as numbers in aligned columns.

    Parameters
    ----------
    data : ndarray, (rows, cols), (rows, cols, 1) or (n,)
        A vector is one row.
    max_rows, max_cols : int
        The most rows and columns of numbers; in larger arrays, the middle is replaced by `…`.

    Returns
    -------
    str
        Integers in full, booleans as 0 and 1, floats to 4 significant digits. No final newline.

    Raises
    ------
    ValueError
        For another shape, several channels, or limits below 1.
    """
    x = numbers(data)
    if x.ndim == 3 and x.shape[2] == 1:
        x = x[:, :, 0]
    if x.ndim not in (1, 2) or x.size == 0 or min(max_rows, max_cols) < 1:
        raise ValueError(
            f"cannot print an array of shape {x.shape} in {max_rows} rows and {max_cols} columns; "
            "it must have one channel and at least one value"
        )
    x = np.atleast_2d(x)
    rows, cols = _ends(x.shape[0], max_rows), _ends(x.shape[1], max_cols)
    lines = [["…" if None in (i, j) else _text(x[i, j]) for j in cols] for i in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    gap = " " if x.dtype.kind in "biu" else "  "
    return "\n".join(
        gap.join(text.rjust(width) for text, width in zip(line, widths, strict=True))
        for line in lines
    )


def _check_picture(pixels: Levels, columns: int, rows: int | None) -> None:
    grey_or_rgb = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if pixels.dtype != np.uint8 or not grey_or_rgb or pixels.size == 0:
        raise ValueError(
            f"cannot show {pixels.dtype} {pixels.shape}; it must be uint8 (rows, cols) or (rows, "
            "cols, 3) with at least one pixel"
        )
    if columns < 1 or (rows is not None and rows < 1):
        raise ValueError(f"cannot draw in {columns} columns and {rows} rows; give at least 1")


def _fit(pixels: Levels, columns: int, limit: int | None) -> Levels:
    """Enlarge or reduce to at most `columns` x `limit` pixels."""
    height, width = pixels.shape[:2]
    zoom = min(columns // width, (limit or _TINY) // height)
    if zoom > 1:
        return pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)
    shrink = min(1.0, columns / width, (limit or height) / height)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    if size == (width, height):
        return pixels
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _cells(upper: list[RGB | None], lower: list[RGB | None]) -> list[Cell]:
    return [(top, bottom) for top, bottom in zip(upper, lower, strict=True) if top is not None]


def _ends(count: int, limit: int) -> list[int | None]:
    """Return all indices, or the first and last, `limit` in all, with None between them."""
    if count <= limit:
        return list(range(count))
    head = list(range((limit + 1) // 2))
    return [*head, None, *range(count - limit // 2, count)]


def _text(value: Any) -> str:
    if value.dtype.kind in "biu":
        return str(int(value))
    return f"{float(value) + 0.0:.4g}"  # + 0.0 turns -0 into 0
