"""How a correlation is computed fast. No user words here: arrays in, arrays out.

`planner` chooses, `paths` lists what there is to choose from, `execute` runs it over tiles;
`taps`, `doubling`, `band`, `separable` and `fourier` are one path each; `reference` defines
what all of them must give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featcli.engine.planner import Plan, plan
    from featcli.engine.window import Array

__all__ = ["Plan", "correlate", "plan"]


def __getattr__(name: str) -> Any:
    """Import the planner, with all its paths, only for those who plan: a network does not."""
    if name not in ("Plan", "plan"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from featcli.engine import planner

    return getattr(planner, name)


def correlate(
    x: Array,
    kernels: Sequence[Array],
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: str = "same",
    border: str = "reflect",
    flip: bool = False,
    engine: str = "auto",
    threads: int | None = None,
) -> Array:
    """Correlate every channel of `x` with every kernel, the quickest way.

    Parameters
    ----------
    x : ndarray, (rows, cols, channels)
        Any boolean, integer or real floating type, in any memory layout.
    kernels : sequence of ndarray, each (kernel rows, kernel cols)
        Floating or integer; finite.
    stride : int
        Every `stride`-th row and column of the full result, from the first.
    dilation : int
        Distance between neighbouring taps, in pixels.
    padding : {"same", "valid"}
        `valid` keeps only the positions where the whole kernel lies inside.
    border : {"reflect", "nearest", "mirror", "constant", "wrap"}
        What lies outside the picture, by SciPy's names; `constant` is zero.
    flip : bool
        The mathematical convolution, as `scipy.ndimage.convolve`.
    engine : str
        "auto", "scipy" for the definition itself, or the name of one path.
    threads : int, optional
        At most this many; as many as there are processors to use if not given.

    Returns
    -------
    ndarray of float32, (rows, cols, kernels * channels)
        Kernel by kernel, each with every channel. With integer pixels and whole-number taps
        exact while sum|k| * max|x| < 2**24; else within 1e-5 * sum|k| * max|x| of the
        definition. NaN and infinity appear where the definition has them.

    Raises
    ------
    ValueError
        If an option, a kernel or the array's type is not usable.

    See Also
    --------
    featcli.engine.reference.correlate : the definition.
    """
    from featcli.engine.planner import plan

    made = plan(
        x.shape,
        x.dtype,
        kernels,
        engine=engine,
        stride=stride,
        dilation=dilation,
        padding=padding,
        border=border,
        flip=flip,
    )
    return made.run(x, threads)
