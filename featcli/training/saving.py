"""Write a model file from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from featcli.errors import UsageError
from featcli.io.atomic import check_free, write_files
from featcli.models import files
from featcli.models.network import Network, check_fits
from featcli.models.network import preprocessing as parsed


def save_model(
    path: str | os.PathLike[str],
    network: Network,
    weights: Mapping[str, npt.ArrayLike],
    *,
    preprocessing: str = "",
    labels: Sequence[str] = (),
    channels: str = "",
    range: int = 255,  # as the file calls it
    name: str = "",
    title: str = "",
    source: str = "",
    licence: str = "",
    citation: str = "",
    overwrite: bool = False,
) -> Path:
    """Write a model file, which every command accepts as `--model`.

    Parameters
    ----------
    path : str or path
        The file's name; it must end in .npz.
    network : Network
        `Network(text, shape)`: its layers, and the shape of its input.
    weights : mapping of str to array_like
        An array for each name and shape in `network.weights`; float16 is stored as such, all other
        types as float32.
    preprocessing : str
        A pipeline from an image to the network's input, such as `resize 64x64 | normalize 128 128`.
        Without it images must have the shape of the input.
    labels : sequence of str
        The names of the classes.
    channels : {"RGB", "gray"}
        The channels that images are converted to first; by default those of the network's input.
    range : {255, 1}
        The largest pixel value.
    name, title, source, licence, citation : str
        The description of the model; the default name is that of the file.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        The weights do not fit the network, or another value is invalid.
    UsageError
        The file exists already.

    Examples
    --------
    >>> network = featcli.Network("flatten | dense 2 | softmax", (8, 8, 1))
    >>> weights = {name: np.zeros(shape) for name, shape in network.weights.items()}
    >>> featcli.save_model("two.npz", network, weights, labels=["cat", "dog"])
    """
    target = Path(path)
    if target.suffix != ".npz":
        raise UsageError(f"{target}: the name of a model file must end in .npz")
    check_free([target], overwrite)
    is_gray = len(network.input) == 3 and network.input[2] == 1
    kind = channels or ("gray" if is_gray else "RGB")
    if preprocessing:
        check_fits(parsed(preprocessing), network, 1 if kind == "gray" else 3)
    record = {
        "name": name or target.stem,
        "title": title,
        "pipeline": network.text,
        "input": list(network.input),
        "preprocessing": preprocessing,
        "channels": kind,
        "range": range,
        "labels": list(labels),
        "source": source,
        "licence": licence,
        "citation": citation,
    }
    arrays = {one: _stored(array) for one, array in weights.items()}
    saves = {target: lambda stream: files.save(stream, record, arrays)}
    write_files(saves, lambda: check_free([target], overwrite))
    return target


def _stored(array: npt.ArrayLike) -> npt.NDArray[np.floating]:
    found = np.asarray(array)
    return found if found.dtype == np.float16 else found.astype(np.float32)
