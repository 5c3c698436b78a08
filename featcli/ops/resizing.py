"""The stages `resize` (by interpolation) and `crop`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from featcli.engine.resampling import resampled
from featcli.ops._maps import Array, as_maps
from featcli.stage import Converter, at_least, one_of, positive, stage, whole_number
from featcli.windows import Window


def parse_size(text: str) -> int | tuple[int, int]:
    """Parse `N`, or `RxC`: rows x columns."""
    pieces = text.lower().split("x")
    if len(pieces) > 2:
        raise ValueError(f"{text!r} is neither a number nor ROWSxCOLS")
    sizes = [positive(piece) for piece in pieces]
    return sizes[0] if len(sizes) == 1 else (sizes[0], sizes[1])


def show_size(size: int | tuple[int, int]) -> str:
    """Format a size as `parse_size` reads it."""
    return "x".join(map(str, np.atleast_1d(size)))


def parse_place(text: str) -> tuple[int, int]:
    """Parse `ROW,COL`, counted from 0."""
    pieces = [whole_number(piece.strip()) for piece in text.split(",")]
    if len(pieces) != 2 or min(pieces) < 0:
        raise ValueError(f"{text!r} is not ROW,COL, such as 0,112")
    return pieces[0], pieces[1]


def show_place(place: tuple[int, int]) -> str:
    """Format a position as `parse_place` reads it."""
    return f"{place[0]},{place[1]}"


Filter = Literal["bicubic", "bilinear", "nearest", "box", "hamming", "lanczos"]
Place = Annotated[
    tuple[int, int] | None,
    Converter(parse_place, "ROW,COL", show_place, tag=lambda at: f"at{at[0]}-{at[1]}"),
]
Size = Annotated[int | tuple[int, int], Converter(parse_size, "N|RxC", show_size)]


def _pair(size: int | tuple[int, int]) -> tuple[int, int] | None:
    """Check a size; return (rows, cols), or None for a single number."""
    if isinstance(size, (int, np.integer)):
        at_least(1, size=int(size))
        return None
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(f"size must be a whole number or (rows, cols), not {size!r}")
    at_least(1, rows=size[0], cols=size[1])
    return size[0], size[1]


def _dtype(dtype: np.dtype[Any], **_: object) -> Any:
    return dtype if dtype in (np.uint8, np.uint16, np.bool_) else np.float32


def _decode_size(rows: int, cols: int, *, size: Any, filter: str) -> tuple[int, int, str] | None:
    """Return rows, columns and filter; None for nearest, whose result needs the exact pixels."""
    return None if filter == "nearest" else (*_resized(rows, cols, size), filter)


def _shape(shape: tuple[int, ...], *, size: Any, **_: str) -> tuple[int, ...]:
    return (*_resized(shape[0], shape[1], size), *shape[2:])


@stage(
    takes="maps",
    gives="maps",
    tag="{size}",
    dtype=_dtype,
    decode_size=_decode_size,
    shape=_shape,
    work=6,
)
def resize(
    x: npt.ArrayLike,
    size: Size,
    *,
    filter: Filter = "bicubic",
) -> Array:
    """Change the number of rows and columns with Pillow's filters.

    Shrinking averages over all pixels that a new one covers (except with nearest, which picks one).

    Parameters
    ----------
    x : array_like, (rows, cols, channels) or (rows, cols)
    size : int or (int, int)
        N is the length of the shorter side; the other keeps the proportions (rounded down, as in
        torchvision). RxC is rows times columns.
    filter : {"bicubic", "bilinear", "nearest", "box", "hamming", "lanczos"}
        How values between pixels are interpolated.

    Returns
    -------
    ndarray, (new rows, new cols, channels)
        bool, uint8 and uint16 keep their type, rounded and clipped to its range; all others become
        float32.

    See Also
    --------
    PIL.Image.Image.resize : The reference, channel by channel; uint8 is resized along the rows and
        rounded first, and then along the columns.

    Examples
    --------
    The shorter side to 128 pixels:

        featcli resize photo.jpg --size 128

    Exactly 64 rows and 96 columns:

        featcli resize photo.jpg --size 64x96 --filter lanczos
    """
    one_of(Filter, filter=filter)
    maps, restore = as_maps(x)
    if 0 in maps.shape:
        raise ValueError(f"nothing to resize in maps of shape {maps.shape}")
    rows, cols = _resized(maps.shape[0], maps.shape[1], size)
    if max(rows, cols) >= 2**31 or rows * cols >= 2**31:
        raise ValueError(f"{rows}x{cols} is too large: Pillow can resize to at most 2**31 pixels")
    if maps.dtype == np.uint8:
        found = resampled(maps, rows, cols, filter)
        if found is not None:
            return restore(found)
        if maps.shape[2] == 3:  # the same result in one call
            return _resize_plane(maps, rows, cols, filter)
    planes = [_resize_plane(maps[:, :, i], rows, cols, filter) for i in range(maps.shape[2])]
    return restore(np.stack(planes, axis=2))


def _resized(rows: int, cols: int, size: Any) -> tuple[int, int]:
    """Return the rows and columns of a resized picture."""
    pair = _pair(size)
    if pair:
        return pair
    if rows <= cols:
        return size, max(1, size * cols // rows)
    return max(1, size * rows // cols), size


def _resize_plane(plane: Array, rows: int, cols: int, filter: str) -> Array:
    from PIL import Image

    method = Image.Resampling[filter.upper()]
    # Pillow resizes bytes and float32; float32 holds 16-bit integers exactly.
    with np.errstate(over="ignore"):
        plain = plane if plane.dtype == np.uint8 else plane.astype(np.float32)
    if plane.dtype.kind == "f" and np.isinf(plain).sum() > np.isinf(plane).sum():
        raise ValueError("holds values beyond the range of float32, which resizing computes in")
    image = Image.fromarray(np.ascontiguousarray(plain))
    if plane.dtype == np.uint8 and filter != "nearest":
        # Bytes are rounded after each pass, and versions of Pillow differ in which pass is first.
        image = image.resize((cols, image.height), method)
    result = np.array(image.resize((cols, rows), method))
    if plane.dtype not in (np.uint16, np.bool_):
        return result
    top = 1 if plane.dtype == np.bool_ else np.iinfo(plane.dtype).max
    return np.clip(np.rint(result), 0, top).astype(plane.dtype)


def _rows_of_crop(shape: tuple[int, ...], _dtype: object, *, size: Any, at: Any) -> Window:
    top, left, _, cols = _box(shape, size, at)
    return Window(first=top, run=lambda maps: maps[:, left : left + cols].copy())


@stage(
    takes="maps",
    gives="maps",
    tag="crop{size}{at}",
    dtype="same",
    shape=lambda shape, *, size, **_: (*(_pair(size) or (size, size)), *shape[2:]),
    work=0,
    rows=_rows_of_crop,
)
def crop(x: npt.ArrayLike, size: Size, *, at: Place = None) -> Array:
    """Cut out the centre of a picture, or another part.

    Parameters
    ----------
    x : array_like, (rows, cols, channels) or (rows, cols)
    size : int or (int, int)
        N is a square of N x N pixels; RxC is rows times columns. If an odd number of pixels is cut
        off, the larger half is cut at the bottom and right.
    at : (int, int), optional
        The first row and column to keep, counted from 0; by default the part is centred.

    Returns
    -------
    ndarray, (rows, cols, channels)
        A copy, of the type of `x`.

    Raises
    ------
    ValueError
        The picture is too small for this size and position.

    Examples
    --------
    The 224 x 224 pixels in the middle:

        featcli run "resize 256 | crop 224" photo.jpg

    The eye of the cat:

        featcli crop photo.jpg --size 80x120 --at 90,150
    """
    maps, restore = as_maps(x)
    top, left, rows, cols = _box(maps.shape, size, at)
    return restore(maps[top : top + rows, left : left + cols].copy())


def _box(shape: tuple[int, ...], size: Any, at: Any) -> tuple[int, int, int, int]:
    """Return the first row and column, and the numbers of rows and columns, to keep.

    Raises ValueError if the picture is too small.
    """
    _pair(size)
    rows, cols = np.broadcast_to(size, 2).tolist()
    height, width = shape[:2]
    top, left = ((height - rows) // 2, (width - cols) // 2) if at is None else at
    if min(top, left) < 0 or top + rows > height or left + cols > width:
        where = "" if at is None else f" at {show_place(at)}"
        raise ValueError(f"cannot cut {rows}x{cols}{where} out of a picture of {height}x{width}")
    return top, left, rows, cols
