"""The stage `convolve`: slide a kernel over every channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from featcli import kernels
from featcli.engine import correlation
from featcli.ops._maps import Array, as_maps
from featcli.stage import Converter, Positive, at_least, one_of, stage
from featcli.windows import Window

Kernels = Annotated[
    str | npt.ArrayLike | Sequence[str | npt.ArrayLike],
    Converter(
        parse=lambda text: kernels.parse(text).text,
        metavar="KERNEL",
        tag=lambda text: kernels.parse(text).label,
        many=True,
        plain=lambda text: kernels.parse(text, files=False).text,
    ),
]

Padding = Literal["same", "valid"]
Engine = Literal["auto", "scipy"]
Border = Literal["reflect", "nearest", "mirror", "constant", "wrap"]
_SPECTRA = 100_000_000  # bytes that correlation by Fourier transforms needs
_LARGE = 32  # rows or columns of a kernel above which Fourier transforms may be used


def _labels(labels: Sequence[str], kernel: Sequence[str], **_: object) -> list[str]:
    return [f"{kernels.parse(text).label}.{label}" for text in kernel for label in labels]


def explain_plan(
    x: npt.ArrayLike, kernel: Kernels, *, engine: Engine = "auto", **options: Any
) -> str:
    """Describe how each kernel would be computed, without computing it.

    Parameters
    ----------
    x : array_like, (rows, cols, channels) or (rows, cols)
        Only its shape and type matter.
    kernel, engine, **options
        As for `convolve`.

    Returns
    -------
    str
        A line for each kernel.
    """
    maps, _ = as_maps(x)
    taps = [_taps(one) for one in _listed(kernel)]
    return correlation.describe(maps.shape, maps.dtype, taps, engine=engine, **options)


def _shape(shape: tuple[int, ...], *, kernel: Any, **params: Any) -> tuple[int, ...]:
    taps = [kernels.parse(one).values.shape for one in kernel]
    lost = [0, 0]
    if params["padding"] == "valid":
        lost = [(length - 1) * params["dilation"] for length in taps[0]]
    rows, cols = (-(-(n - less) // params["stride"]) for n, less in zip(shape, lost, strict=False))
    return max(rows, 0), max(cols, 0), shape[2] * len(taps)


def _work(shape: tuple[int, ...], dtype: np.dtype[Any], *, kernel: Any, **params: Any) -> int:
    """Estimate the engine's working memory; only Fourier transforms need much."""
    reach = max(max(kernels.parse(one).values.shape) for one in kernel) * params["dilation"]
    converted = math.prod(shape) * 4 if dtype == np.float16 else 0
    return converted + (_SPECTRA if reach > _LARGE else 0)


def _rows(
    shape: tuple[int, ...], dtype: np.dtype[Any], *, kernel: Any, engine: str, **options: Any
) -> Window:
    """Return the window of rows; raises ValueError if strips would not give the same bytes."""
    if options["border"] == "wrap" and options["padding"] == "same":
        raise ValueError("--border wrap joins the first rows to the last ones")
    taps = [kernels.parse(one).values for one in kernel]
    name = correlation.tiled(shape, dtype, taps, engine=engine, **options)
    if name is not None:
        raise ValueError(
            f"the kernel {kernel[name]} is computed by Fourier transforms of large tiles, not row "
            "by row: --engine scipy can do so, but is slow"
        )
    first, end = zip(
        *(correlation.rows_seen(shape[0], len(one), **options) for one in taps), strict=True
    )
    return Window(options["stride"], min(first), max(end) - min(first))


@stage(
    takes="maps",
    gives="maps",
    labels=_labels,
    tag="{kernel}",
    explain=explain_plan,
    shape=_shape,
    work=_work,
    rows=_rows,
)
def convolve(
    x: npt.ArrayLike,
    kernel: Kernels,
    *,
    stride: Positive = 1,
    dilation: Positive = 1,
    padding: Padding = "same",
    border: Border = "reflect",
    flip: bool = False,
    engine: Engine = "auto",
) -> Array:
    """Slide a kernel over every channel: one feature map for each.

    At every position the kernel is multiplied element by element with the patch of the picture
    under it, and the products are summed: the cross-correlation that a CNN computes. The result is
    not scaled or clipped, and the kernel is not flipped. The result is float32; for integers it is
    exact while sum|kernel| * max|x| is below 2**24, otherwise the error is at most 1e-5 times that
    product.

    Parameters
    ----------
    x : array_like, (rows, cols, channels) or (rows, cols)
        The picture or feature maps; each channel is filtered separately.
    kernel : str, array_like (kernel rows, kernel cols), or a sequence of them
        A built-in name ('featcli kernels' lists them), a formula such as gaussian:sigma=2, a
        file (.toml .json .csv .txt .npy), or rows of numbers such as "-1 0 1; -1 0 1; -1 0 1"
        or [[-1,0,1],[-1,0,1],[-1,0,1]].
        With several kernels, the maps of each follow those of the one before.
    stride : int
        Keep every N-th row and column, from the first.
    dilation : int
        Distance between neighbouring taps of the kernel, in pixels.
    padding : {"same", "valid"}
        same: as many rows and columns as the picture; valid: only where the kernel fits inside.
    border : {"reflect", "nearest", "mirror", "constant", "wrap"}
        How the picture is padded, by SciPy's names; constant is zero padding.
    flip : bool
        Rotate the kernel by 180 degrees: the mathematical convolution, as scipy.ndimage.convolve.
    engine : {"auto", "scipy"}
        auto: the fastest method (-v shows which); scipy: directly by the definition, which is slow.

    Returns
    -------
    ndarray of float32, (rows, cols, kernels * channels)
        All channels by the first kernel, then by the second, and so on; 2-D for 2-D input and one
        kernel.

    Raises
    ------
    ValueError
        A kernel is unknown, is not a rectangle of finite numbers, or is larger than the picture
        with `padding="valid"`.

    See Also
    --------
    scipy.ndimage.correlate : The same in float64, given the dilated kernel.

    Examples
    --------
    The vertical edges of a photo, as an array and as a picture:

        featcli convolve photo.jpg --kernel vertical

    Two kernels at once, every second position:

        featcli convolve photo.jpg -k sobel-x -k sobel-y --stride 2

    A kernel of your own:

        featcli convolve photo.jpg --kernel "0 1 0; 1 -4 1; 0 1 0" --border constant
    """
    at_least(1, stride=stride, dilation=dilation)
    one_of(Padding, padding=padding)
    one_of(Border, border=border)
    one_of(Engine, engine=engine)
    maps, restore = as_maps(x)
    taps = [_taps(one) for one in _listed(kernel)]
    if padding == "valid":
        for one in taps:
            _check_fits(one.shape, maps.shape, dilation)
    result = correlation.correlate(
        maps,
        taps,
        stride=stride,
        dilation=dilation,
        padding=padding,
        border=border,
        flip=flip,
        engine=engine,
    )
    return restore(result)


def _listed(kernel: object) -> list[object]:
    """Return a list of kernels; a single one, as text or array, becomes a list of one."""
    if isinstance(kernel, str) or (isinstance(kernel, np.ndarray) and kernel.ndim == 2):
        return [kernel]
    if not isinstance(kernel, Sequence) and not isinstance(kernel, np.ndarray):
        raise ValueError(f"a kernel is text or a 2-D array, not {type(kernel).__name__}")
    listed = list(kernel)
    is_rows = bool(listed) and not isinstance(listed[0], str) and np.ndim(listed[0]) < 2
    return [listed] if is_rows else listed


def _taps(kernel: object) -> Array:
    if isinstance(kernel, str):
        return kernels.parse(kernel).values
    try:
        values = np.asarray(kernel)
    except ValueError:  # NumPy's message is about an inhomogeneous shape
        raise ValueError("the rows of a kernel must be equally long") from None
    return kernels.of(values).values


def _check_fits(kernel: tuple[int, ...], shape: tuple[int, ...], dilation: int) -> None:
    rows, cols = ((length - 1) * dilation + 1 for length in kernel)
    if rows > shape[0] or cols > shape[1]:
        raise ValueError(
            f"padding valid needs a picture of at least {rows}x{cols} (the kernel, dilated), "
            f"not {shape[0]}x{shape[1]}"
        )
