"""A model: a network with its numbers, its preprocessing and the names of its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from featcli.frame import Frame, Step
from featcli.models.files import Description, completed, identity
from featcli.models.labels import labels_reference, read_labels
from featcli.models.network import Row, sizes
from featcli.models.network import preprocessing as parse_preprocessing
from featcli.models.pixels import central, check_range, ranged, with_channels
from featcli.models.references import parted
from featcli.models.running import Runner

Array = npt.NDArray[Any]
# What may complete a model or say how it is run, and what holds where nothing is said.
GIVEN = {"labels": "", "preprocessing": "", "input_shape": "", "engine": "auto", "device": "cpu"}
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
    given : mapping of str to str, optional
        What the history says of names, a preprocessing and an input's shape that are not the
        model's own.
    """

    def __init__(
        self,
        description: Description,
        weights: dict[str, Array],
        reference: str = "",
        runner: Runs | None = None,
        given: Mapping[str, str] | None = None,
    ) -> None:
        self.description = description
        self._given = GIVEN | dict(given or {})
        self.reference = reference or f"{description.name}#{identity(description)[:16]}"
        self.weights = weights
        self.runner = runner or Runner(description.network, weights)

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

    @property
    def about(self) -> dict[str, str]:
        """What a table says of it; `sha256` is the beginning of its digest."""
        name, digest = parted(self.reference)
        before = self.description.preprocessing
        return {"name": name, "sha256": digest, "preprocessing": str(before or "")}

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
        own = {
            "labels": labels_reference(labels) if labels else "",
            "preprocessing": str(before or ""),
        }
        return Model(found, self.weights, self.reference, self.runner, self._given | own)

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
        data = self.probabilities(whole.data)
        # A file of 1 bit is read as 0 and 1; the commands read it as the model takes it.
        self._check_range(whole.data, "iu")
        return whole.replace(data=data, labels=self.labels, history=(*whole.history, step))

    def probabilities(self, data: npt.ArrayLike) -> Array:
        """Return the class probabilities of an image as plain numbers; see `model(frame)`."""
        self.check_classifies()
        found = self.run(self.prepare(data)).reshape(-1)
        if self.labels and len(found) != len(self.labels):
            raise ValueError(f"it gives {len(found)} values, and {len(self.labels)} have names")
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

    def check_classifies(self) -> None:
        """Raise ValueError unless it gives one value for each class."""
        shape = self.description.network.shape
        if len(shape) > 1:
            raise ValueError(
                f"the model {self.name} gives a result of {sizes(shape)}, not a probability per "
                "class, such as one that detects objects or reads text: 'featcli features --layer' "
                "gives the values of its layers"
            )

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
        return self.runner.run(np.asarray(x), names)

    def every(self, x: npt.ArrayLike) -> dict[str, Array]:
        """Return what every operation gives, by name, from what `prepare` gives.

        Raises
        ------
        ValueError
            The network is run by something else than featcli, which does not say.
        """
        if not isinstance(self.runner, Runner):
            raise ValueError(f"the model {self.name} does not say how its layers are computed")
        return self.runner.every(np.asarray(x))

    def for_workers(self, names: Sequence[str]) -> Any:
        """Return what other processes need not make again to give these layers, or None."""
        handed = getattr(self.runner, "handed", None)
        return handed(names) if handed else None

    def check_layer(self, name: str) -> None:
        """Raise ValueError, naming the nearest, unless a layer is called so."""
        self.description.network.node_of(name)


def _misfit(name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if len(wanted) == 1:
        return f"the model {name} takes a vector of {wanted[0]} values, not shape {shape}"
    return f"the model {name} takes an image, not an array of shape {shape}"


__all__ = ["GIVEN", "Model"]
