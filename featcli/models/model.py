"""A model: a network with its numbers, its preprocessing and the names of its results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from featcli.frame import Frame, Step
from featcli.models.files import Description, ModelError, completed, identity, load
from featcli.models.labels import labels_reference, read_labels
from featcli.models.network import Row
from featcli.models.network import preprocessing as parse_preprocessing
from featcli.models.pixels import central, check_range, ranged, with_channels
from featcli.models.references import parted
from featcli.models.running import Runner
from featcli.stage import nearest

Array = npt.NDArray[Any]
SHIPPED = Path(__file__).resolve().parent.parent / "data" / "models"
DEFAULT = "imagenet"
_SLACK = 1e-3  # that a sum of shares in float16 may be off


class Runs(Protocol):
    """What runs a network."""

    def run(self, x: Array, names: Sequence[str]) -> dict[str, Array]:
        """Return what the named layers give."""


class Model:
    """A network that can be called.

    Parameters
    ----------
    description : Description
    weights : dict of str to ndarray of float32
        By layer and part; see `featcli.models.files.load`.
    reference : str
        What the history calls it: its name or path, and the beginning of a sha256 of all that
        decides what it gives.
    runner : object with a method `run(x, names)`, optional
        Runs the network where featcli's own engine does not.
    labels, preprocessing : str, optional
        What the history says of names and of a preprocessing that are not the model's own.
    """

    def __init__(
        self,
        description: Description,
        weights: dict[str, Array],
        reference: str = "",
        runner: Runs | None = None,
        *,
        labels: str = "",
        preprocessing: str = "",
    ) -> None:
        self.description = description
        self._given = {"labels": labels, "preprocessing": preprocessing}
        self.reference = reference or f"{description.name}#{identity(description)[:16]}"
        self.weights = weights
        self._runner = runner or Runner(description.network, weights)

    @property
    def name(self) -> str:
        """What it is called in file names."""
        return self.description.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its results; empty if it has none."""
        return self.description.labels

    @property
    def params(self) -> dict[str, str]:
        """What a history says of it: `load_model` makes it again from `model` and the others."""
        return {"model": self.reference, **self._given}

    def completed(self, labels: str = "", preprocessing: str = "") -> Model:
        """Return the same network with the names of a file, or with another preprocessing.

        See `load_model`; what is empty stays.
        """
        if not labels and not preprocessing:
            return self
        names = read_labels(labels) if labels else None
        before = parse_preprocessing(preprocessing) if preprocessing else None
        try:
            found = completed(self.description, names, before)
        except ValueError as error:
            where = f"{parted(labels)[0]}: " if labels else ""
            raise ValueError(f"{where}{error}") from None
        return Model(
            found,
            self.weights,
            self.reference,
            self._runner,
            labels=labels_reference(labels) if labels else "",
            preprocessing=str(before or ""),
        )

    @property
    def layers(self) -> list[Row]:
        """Name, kind, shape, parameters and multiply-adds of every operation, in order."""
        return self.description.network.rows

    @property
    def last(self) -> str:
        """The name of the last layer."""
        return self.description.network.last

    @property
    def embedding(self) -> str:
        """The name of the layer before the last learned one: its values describe the image."""
        return self.description.network.embedding

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that `run` can stop at."""
        return self.description.network.names

    def __call__(self, frame: Frame | npt.ArrayLike) -> Frame:
        """Return the class probabilities of an image, or of what the network takes.

        Raises
        ------
        ValueError
            An array that is neither, or that holds NaN; numbers of 0..1 for a model of 0..255; a
            model that gives no probabilities.
        """
        whole = frame if isinstance(frame, Frame) else Frame(np.asarray(frame))
        step = Step.of("classify", **self.params)
        data = self.shares(whole.data)
        # A file of 1 bit is read as 0 and 1; the commands read it as the model takes it.
        self._check_range(whole.data, "iu")
        return whole.replace(data=data, labels=self.labels, history=(*whole.history, step))

    def shares(self, data: npt.ArrayLike) -> Array:
        """Return the class probabilities of an image as plain numbers; see `model(frame)`."""
        found = self.run(self.prepare(data)).reshape(-1)
        if not np.isfinite(found).all():
            raise ValueError(
                "no probabilities come of it: its values are NaN, infinite or too large"
            )
        if found.min() < -_SLACK or found.max() > 1 + _SLACK:
            raise ValueError(
                f"no probabilities come of it, but {found.min():.4g} to {found.max():.4g}: the "
                f"model {self.name} does not end in a softmax or sigmoid"
            )
        return found

    def prepare(self, data: npt.ArrayLike) -> Array:
        """Turn an image into what the network takes.

        Parameters
        ----------
        data : array_like, (rows, cols, channels) or (n,)
            An image: bytes, 16-bit values, booleans, or floats in the model's range, such as
            0..255. Gray becomes RGB, or RGB gray; of RGBA the colours are taken. A vector, for a
            network that takes one, stays as it is.

        Returns
        -------
        ndarray of float32
        """
        array = np.asarray(data)
        wanted = self.description.network.input
        if array.ndim == 1:
            if wanted != array.shape:
                raise ValueError(_misfit(self.name, array.shape, wanted))
            return array.astype(np.float32)
        if array.ndim not in (2, 3):
            raise ValueError(_misfit(self.name, array.shape, wanted))
        pixels = self.pixels(array)
        if self.description.preprocessing:
            pixels = self.description.preprocessing(pixels).data
        return np.ascontiguousarray(pixels, dtype=np.float32)

    def pixels(self, image: Array) -> Array:
        """Return an image in the model's range and channels: what its preprocessing begins with.

        Of a strip more than 16 times as long as wide the far ends are cut off.
        """
        top = self.description.range
        pixels = with_channels(ranged(central(image), top), self.description.channels)
        self._check_range(image, "f")
        return pixels

    def _check_range(self, image: Array, kinds: str) -> None:
        if self.description.preprocessing and self.description.range > 1:
            check_range(image, self.description.range, kinds)

    def run(self, x: npt.ArrayLike, until: str | None = None) -> Array:
        """Run the network on what `prepare` gives, to its end or to a named layer.

        Parameters
        ----------
        x : array_like
            Of the shape of the network's input.
        until : str, optional
            The name of a layer or of an operation in it, such as `block3.depthwise`.

        Returns
        -------
        ndarray of float32

        Raises
        ------
        ValueError
            No layer is called so; the message names the nearest.
        """
        name = until or self.last
        return self.outputs(x, [name])[name]

    def outputs(self, x: npt.ArrayLike, names: Sequence[str]) -> dict[str, Array]:
        """Run once and return what several layers give, by name; see `run`."""
        return self._runner.run(np.asarray(x), names)

    def inside(self, layer: str, x: npt.ArrayLike) -> dict[str, Array]:
        """Return what each operation of a layer gives, by name, from what reaches the layer.

        Raises
        ------
        ValueError
            The network is run by something else than featcli, which does not say.
        """
        if not isinstance(self._runner, Runner):
            raise ValueError(f"the model {self.name} does not say how its layers are computed")
        return self._runner.inside(layer, np.asarray(x))

    def check_layer(self, name: str) -> None:
        """Raise ValueError, naming the nearest, unless a layer is called so."""
        self.description.network.node_of(name)


def load_model(
    name_or_path: str | os.PathLike[str] = DEFAULT,
    *,
    labels: str | os.PathLike[str] = "",
    preprocessing: str = "",
) -> Model:
    """Load a model that ships with featcli by its name, or any by the path of its file.

    Parameters
    ----------
    name_or_path : str or path
        A name has no slash and no suffix; .onnx needs the extra `onnx`. `NAME#SHA256`, as a
        history has it, with the first 16 digits of the sha256 of all that decides what it gives
        (of an .onnx: of the file with the .json beside it), loads that model or none.
    labels : str or path, optional
        A file with the names of the results, instead of the model's own: text with a name a
        line, or a JSON list (.json).
    preprocessing : str, optional
        From an image to what the network takes, instead of the model's own: a pipeline such as
        `resize 256 | crop 224 | normalize 127 128`.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        A file that is broken, or says what cannot be.
    ValueError
        No such model ships, it is another than the one named, or labels or preprocessing that
        cannot be.
    """
    name, expected = parted(os.fspath(name_or_path))
    path = path_of(name)
    model = _loaded(str(path), name, _states(path))
    if expected and not model.reference.endswith(f"#{expected}"):
        raise ValueError(
            f"the model {name} has other weights, labels or preprocessing than that of {expected}"
        )
    names = labels_reference(labels) if labels else ""
    return _completed(model, names, preprocessing)


@lru_cache(maxsize=4)
def _completed(model: Model, labels: str, preprocessing: str) -> Model:
    return model.completed(labels, preprocessing)


def name_of(reference: str) -> str:
    """Return what a model is called in file names."""
    return Path(parted(reference)[0]).stem


def _states(path: Path) -> tuple[tuple[int, int], ...]:
    """Return what changes when the file does, or the one beside an .onnx file."""
    files = [path, path.with_suffix(".json")] if is_onnx(path) else [path]
    found = [file.stat() for file in files if file.is_file()]
    return tuple((one.st_mtime_ns, one.st_size) for one in found)


@lru_cache(maxsize=4)
def _loaded(path: str, name: str, _states: tuple[tuple[int, int], ...]) -> Model:
    if is_onnx(path):
        from featcli.models import onnx

        description, runner = onnx.load(Path(path))
        return Model(description, {}, f"{name}#{onnx.identity(Path(path))[:16]}", runner)
    description, weights = load(path)
    return Model(description, weights, f"{name}#{identity(description)[:16]}")


def path_of(name_or_path: str | os.PathLike[str]) -> Path:
    """Find a model's file; raises ValueError if there is none."""
    text = os.fspath(name_or_path)
    path = Path(text)
    if path.suffix == "" and "/" not in text and os.sep not in text:
        own, path = path, SHIPPED / f"{text}.npz"
        if not path.is_file():
            if own.is_file():
                return own
            known = shipped()
            near = nearest(text, known) or f": there are {', '.join(known)}"
            raise ValueError(f"no model {text!r}{near} (or give the path of an .npz or .onnx file)")
    elif not path.is_file():
        raise ValueError(f"no model file {text!r}")
    return path


def is_onnx(path: str | os.PathLike[str]) -> bool:
    """Say whether a file is a model of another maker, by its name."""
    return os.fspath(path).lower().endswith(".onnx")


def shipped() -> list[str]:
    """Return the names of the models that come with featcli."""
    return sorted(path.stem for path in SHIPPED.glob("*.npz"))


def _misfit(name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if len(wanted) == 1:
        return f"the model {name} takes a vector of {wanted[0]} values, not shape {shape}"
    return f"the model {name} takes an image, not an array of shape {shape}"


__all__ = [
    "DEFAULT",
    "Model",
    "ModelError",
    "is_onnx",
    "load_model",
    "name_of",
    "path_of",
    "shipped",
]
