"""The stage `dense`: a fully connected layer, with weights from a file."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt

from featcli import budget, npy
from featcli.errors import ReadError
from featcli.ops._maps import Array, as_floats, as_numbers
from featcli.stage import Converter, stage

_MARK = "#sha256="
_LARGEST = budget.DEFAULT // 2


def parse_weights(text: str) -> str:
    """Add a hash of the file's content to its name, so that the history identifies the weights.

    If the text has a hash already, check it; raises ValueError if the file has changed.
    """
    name, _, expected = text.partition(_MARK)
    if Path(name).suffix not in (".npy", ".npz"):
        raise ValueError(f"{name!r} is not a .npy or .npz file")
    found = _digest(name)
    if expected and expected != found:
        raise ValueError(f"{name} has changed: its sha256 begins with {found}, not {expected}")
    return f"{name}{_MARK}{found}"


def _digest(name: str) -> str:
    try:
        with Path(name).open("rb") as stream:
            if os.fstat(stream.fileno()).st_size > _LARGEST:
                raise ValueError(f"{name!r} is larger than {budget.format_size(_LARGEST)}")
            return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ValueError(f"cannot read {name!r}: {error.strerror}") from error


def _no_file(text: str) -> str:
    raise ValueError(f"{text[:80]!r} is a file's name, but files may not be named here")


Weights = Annotated[
    str | npt.ArrayLike,
    Converter(
        parse_weights,
        "FILE",
        tag=lambda text: Path(text.partition(_MARK)[0]).stem,
        plain=_no_file,
    ),
]


@stage(takes="vector", gives="vector", labels=lambda _labels, **_: (), tag="dense")
def dense(x: npt.ArrayLike, weight: Weights, bias: Weights | None = None) -> Array:
    """Apply a fully connected layer to a vector: x @ weight + bias.

    Parameters
    ----------
    x : array_like, (n,)
    weight : str or array_like, (n, m)
        A .npy file of shape (n, m), or an .npz file with the arrays weight (n, m) and,
        optionally, bias (m,).
    bias : str or array_like, (m,), optional
        A .npy file. By default the bias of the .npz file, or zero.

    Returns
    -------
    ndarray of float32, (m,)

    Raises
    ------
    ValueError
        The shapes do not match, or a file does not hold these arrays.

    Notes
    -----
    `torch.nn.Linear` stores the transpose, (m, n).

    Examples
    --------
    A layer with your own weights, on a reduced photo:

        featcli run "resize 8x8 | flatten | dense weights.npz | sigmoid" photo.jpg
    """
    vector = as_floats(x)
    if vector.ndim != 1:
        raise ValueError(f"takes a vector (n,), not an array of shape {vector.shape}")
    matrix, offset = loaded(weight, bias)
    _check(vector, matrix, offset)
    wide = np.result_type(vector, matrix, np.float32)
    # Contiguous, because BLAS computes and rounds strided arrays in another way.
    result = np.ascontiguousarray(vector, wide) @ np.ascontiguousarray(matrix, wide)
    return (result if offset is None else result + offset).astype(np.float32)


def loaded(weight: Weights, bias: Weights | None = None) -> tuple[Array, Array | None]:
    """Return the weight matrix and the bias (or None) of `dense`, from files or arrays."""
    matrix, offset = _loaded(weight) if isinstance(weight, str) else (as_numbers(weight), None)
    if isinstance(bias, str):
        return matrix, _loaded(bias)[0]
    return matrix, offset if bias is None else as_numbers(bias)


@lru_cache(maxsize=8)
def _loaded(text: str) -> tuple[Array, Array | None]:
    name, _, _ = parse_weights(text).partition(_MARK)
    try:
        if name.endswith(".npy"):
            return npy.load(name), None
        arrays = npy.load_archive(name, _LARGEST)
    except ReadError as error:
        raise ValueError(f"{name}: {error}") from error
    if "weight" not in arrays:
        raise ValueError(f"{name} has no array 'weight', only: {', '.join(arrays) or 'nothing'}")
    return arrays["weight"], arrays.get("bias")


def _check(vector: Array, matrix: Array, offset: Array | None) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != vector.shape[0]:
        raise ValueError(
            f"a vector of {vector.shape[0]} values needs a weight of shape "
            f"({vector.shape[0]}, m), not {matrix.shape}"
        )
    if offset is not None and offset.shape != matrix.shape[1:]:
        raise ValueError(f"the bias must have shape {matrix.shape[1:]}, not {offset.shape}")
