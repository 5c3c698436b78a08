"""resize and crop: another size, by interpolation or by cutting."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from featcli.engine.resampling import resampled
from featcli.ops._maps import Array, as_maps
from featcli.stage import Converter, at_least, one_of, positive, stage, whole_number
from featcli.windows import Window


def parse_size(text: str) -> int | tuple[int, int]:
    """Read `N`, or `RxC`: rows x columns."""
    pieces = text.lower().split("x")
    if len(pieces) > 2:
        raise ValueError(f"{text!r} is neither a number nor ROWSxCOLS")
    sizes = [positive(piece) for piece in pieces]
    return sizes[0] if len(sizes) == 1 else (sizes[0], sizes[1])


def show_size(size: int | tuple[int, int]) -> str:
    """Write what `parse_size` reads."""
    return "x".join(map(str, np.atleast_1d(size)))


def parse_place(text: str) -> tuple[int, int]:
    """Read `ROW,COL`, from 0."""
    pieces = [whole_number(piece.strip()) for piece in text.split(",")]
    if len(pieces) != 2 or min(pieces) < 0:
        raise ValueError(f"{text!r} is no ROW,COL, such as 0,112")
    return pieces[0], pieces[1]


def show_place(place: tuple[int, int]) -> str:
    """Write what `parse_place` reads."""
    return f"{place[0]},{place[1]}"


Filter = Literal["bicubic", "bilinear", "nearest", "box", "hamming", "lanczos"]
Place = Annotated[
    tuple[int, int] | None,
    Converter(parse_place, "ROW,COL", show_place, tag=lambda at: f"at{at[0]}-{at[1]}"),
]
Size = Annotated[int | tuple[int, int], Converter(parse_size, "N|RxC", show_size)]


def _pair(size: int | tuple[int, int]) -> tuple[int, int] | None:
    """Check the size; None for a single number."""
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
    """Return rows, columns and filter; of nearest, which averages nothing, every pixel counts."""
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

    Shrinking averages over all pixels that a new one covers, so that nothing is skipped (but with
    nearest, which picks one).

    Parameters
    ----------
    x : array_like, (rows, cols, channels) or (rows, cols)
    size : int or (int, int)
        N is the short side, the other follows (rounded down, as torchvision does); RxC is rows
        times columns.
    filter : {"bicubic", "bilinear", "nearest", "box", "hamming", "lanczos"}
        How the values between pixels are found.

    Returns
    -------
    ndarray, (new rows, new cols, channels)
        uint8 and uint16 stay what they are, rounded and kept within their range; everything else
        becomes float32.

    See Also
    --------
    PIL.Image.Image.resize : The reference, channel by channel; of uint8 first along the rows, to
        bytes, and then along the columns.

    Examples
    --------
    The short side to 128 pixels:

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
        raise ValueError(f"{rows}x{cols} is more than Pillow resizes to: 2**31 pixels")
    if maps.dtype == np.uint8:
        found = resampled(maps, rows, cols, filter)
        if found is not None:
            return restore(found)
        if maps.shape[2] == 3:  # the same numbers, in one go
            return _resize_plane(maps, rows, cols, filter)
    planes = [_resize_plane(maps[:, :, i], rows, cols, filter) for i in range(maps.shape[2])]
    return restore(np.stack(planes, axis=2))


def _resized(rows: int, cols: int, size: Any) -> tuple[int, int]:
    """Return the rows and columns of the result."""
    pair = _pair(size)
    if pair:
        return pair
    if rows <= cols:
        return size, max(1, size * cols // rows)
    return max(1, size * rows // cols), size


def _resize_plane(plane: Array, rows: int, cols: int, filter: str) -> Array:
    from PIL import Image

    method = Image.Resampling[filter.upper()]
    # Pillow resizes 8-bit planes and 32-bit floats; 16-bit integers are exact in the latter.
    with np.errstate(over="ignore"):
        plain = plane if plane.dtype == np.uint8 else plane.astype(np.float32)
    if plane.dtype.kind == "f" and np.isinf(plain).sum() > np.isinf(plane).sum():
        raise ValueError("holds values beyond the range of float32, in which it is resized")
    image = Image.fromarray(np.ascontiguousarray(plain))
    if plane.dtype == np.uint8 and filter != "nearest":
        # Bytes are rounded after each pass, and versions of Pillow differ in which is the first.
        image = image.resize((cols, image.height), method)
    result = np.array(image.resize((cols, rows), method))
    if plane.dtype not in (np.uint16, np.bool_):
        return result
    top = 1 if plane.dtype == np.bool_ else np.iinfo(plane.dtype).max
    return np.clip(np.rint(result), 0, top).astype(plane.dtype)


def _cut(shape: tuple[int, ...], *, size: Any, **_: Any) -> tuple[int, ...]:
    return (*(_pair(size) or (size, size)), *shape[2:])


def _rows_of_crop(shape: tuple[int, ...], _dtype: object, *, size: Any, at: Any) -> Window:
    top, left, _, cols = _box(shape, size, at)
    return Window(first=top, run=lambda maps: maps[:, left : left + cols].copy())


@stage(
    takes="maps",
    gives="maps",
    tag="crop{size}{at}",
    dtype="same",
    shape=_cut,
    work=0,
    rows=_rows_of_crop,
)
def crop(x: npt.ArrayLike, size: Size, *, at: Place = None) -> Array:
    """Cut out the centre, or another place.

    Parameters
    ----------
    x : array_like, (rows, cols, channels) or (rows, cols)
    size : int or (int, int)
        N is a square of N x N pixels; RxC is rows times columns. Of an odd remainder the larger
        half is cut at the bottom and at the right.
    at : (int, int), optional
        The first row and the first column to keep, instead of the centre.

    Returns
    -------
    ndarray, (rows, cols, channels)
        A copy, of the type of `x`.

    Raises
    ------
    ValueError
        The picture is smaller, or ends before.

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
    """Return the first row and column, and the rows and columns, that are kept.

    Raises ValueError for a picture that is too small.
    """
    _pair(size)
    rows, cols = np.broadcast_to(size, 2).tolist()
    height, width = shape[:2]
    top, left = ((height - rows) // 2, (width - cols) // 2) if at is None else at
    if min(top, left) < 0 or top + rows > height or left + cols > width:
        where = "" if at is None else f" at {show_place(at)}"
        raise ValueError(f"cannot cut {rows}x{cols}{where} out of a picture of {height}x{width}")
    return top, left, rows, cols
