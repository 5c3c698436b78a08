"""A model's file from Python: a network's text and its numbers."""

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
    """Write a model's file, which every command takes as `--model`.

    Parameters
    ----------
    path : str or path
        Ends in .npz.
    network : Network
        `Network(text, shape)`: its layers, and the shape of what goes in.
    weights : mapping of str to array_like
        Every array that `network.weights` names, of the shape that it says; as float16 where it is
        that, else as float32.
    preprocessing : str
        From an image to what the network takes: a pipeline such as `resize 64x64 | normalize 128
        128`. Without it the image itself must fit.
    labels : sequence of str
        The names of the results.
    channels : {"RGB", "gray"}
        What an image is turned into first; without it what the network takes.
    range : {255, 1}
        Pixels are taken as 0..255, or as 0..1.
    name, title, source, licence, citation : str
        What the file says of the model; its name is that of the file unless given.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        Weights that do not fit, or anything else that a model's file cannot say.
    UsageError
        The file is there already.

    Examples
    --------
    >>> network = featcli.Network("flatten | dense 2 | softmax", (8, 8, 1))
    >>> weights = {name: np.zeros(shape) for name, shape in network.weights.items()}
    >>> featcli.save_model("two.npz", network, weights, labels=["cat", "dog"])
    """
    target = Path(path)
    if target.suffix != ".npz":
        raise UsageError(f"{target}: a model's file ends in .npz")
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


__all__ = ["save_model"]
