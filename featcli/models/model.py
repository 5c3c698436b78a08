"""A model: a network with its weights, preprocessing and class names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from featcli.frame import Array, Frame, Step
from featcli.models.files import Description, completed, identity
from featcli.models.labels import labels_reference, read_labels
from featcli.models.network import Row, sizes
from featcli.models.network import preprocessing as parse_preprocessing
from featcli.models.pixels import central, check_range, ranged, with_channels
from featcli.models.references import parted
from featcli.models.running import Runner

# The options for loading a model, and their defaults.
GIVEN = {"labels": "", "preprocessing": "", "input_shape": "", "engine": "auto", "device": "cpu"}
_SLACK = 1e-3  # rounding error of probabilities in float16


class Runs(Protocol):
    """An object that runs a network."""

    def run(self, x: Array, names: Sequence[str]) -> dict[str, Array]:
        """Return the results of the named layers."""


class Model:
    """A network with weights, which can be called on images.

    Parameters
    ----------
    description : Description
    weights : dict of str to ndarray of float32
        By layer and part; see `featcli.models.files.load`.
    reference : str
        Its name or path and its hash, as in a history.
    runner : object with a method `run(x, names)`, optional
        Runs the network, instead of featcli's own engine.
    given : mapping of str to str, optional
        The options that it was loaded with (see `GIVEN`), for the history.
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
        """The name, as in file names."""
        return self.description.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; empty if there are none."""
        return self.description.labels

    @property
    def params(self) -> dict[str, str]:
        """The parameters in a history, from which `load_model` can load the same model again."""
        return {"model": self.reference, **self._given}

    @property
    def about(self) -> dict[str, str]:
        """The description in a table's metadata; `sha256` is the beginning of the hash."""
        name, digest = parted(self.reference)
        before = self.description.preprocessing
        return {"name": name, "sha256": digest, "preprocessing": str(before or "")}

    def completed(self, labels: str = "", preprocessing: str = "") -> Model:
        """Return the model with other labels or another preprocessing, as in `load_model`.

        An empty text keeps the model's own.
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
        """Name, kind, shape, parameters and multiply-accumulates of every operation, in order."""
        return self.description.network.rows

    @property
    def last(self) -> str:
        """The name of the last layer."""
        return self.description.network.last

    @property
    def embedding(self) -> str:
        """The name of the layer before the last one with weights: its values describe the image."""
        return self.description.network.embedding

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all layers and operations that `run` can return."""
        return self.description.network.names

    def __call__(self, frame: Frame | npt.ArrayLike) -> Frame:
        """Return the class probabilities of an image, or of a vector for networks that take one.

        Raises
        ------
        ValueError
            The array has another shape or holds NaN, its values are 0..1 but the model expects
            0..255, or the model does not return probabilities.
        """
        whole = frame if isinstance(frame, Frame) else Frame(np.asarray(frame))
        step = Step.of("classify", **self.params)
        data = self.probabilities(whole.data)
        # `read` returns 0 and 1 for a file of 1 bit; the commands scale it to the model's range.
        self._check_range(whole.data, "iu")
        return whole.replace(data=data, labels=self.labels, history=(*whole.history, step))

    def probabilities(self, data: npt.ArrayLike) -> Array:
        """Return the class probabilities of an image as an array; see `model(frame)`."""
        self.check_classifies()
        found = self.run(self.prepare(data)).reshape(-1)
        if self.labels and len(found) != len(self.labels):
            raise ValueError(f"it gives {len(found)} values for {len(self.labels)} labels")
        if not np.isfinite(found).all():
            raise ValueError(
                "the result is NaN or infinite: the image's values are NaN, infinite or too large"
            )
        if found.min() < -_SLACK or found.max() > 1 + _SLACK:
            raise ValueError(
                f"the results are {found.min():.4g} to {found.max():.4g}, not probabilities: the "
                f"model {self.name} does not end in a softmax or sigmoid"
            )
        return found

    def check_classifies(self) -> None:
        """Raise ValueError unless the result is a vector, with a value for each class."""
        shape = self.description.network.shape
        if len(shape) > 1:
            raise ValueError(
                f"the model {self.name} gives a result of {sizes(shape)}, not a probability per "
                "class (it may detect objects or read text): 'featcli features --layer' returns "
                "the values of its layers"
            )

    def prepare(self, data: npt.ArrayLike) -> Array:
        """Return the network's input for an image, by the model's preprocessing.

        Parameters
        ----------
        data : array_like, (rows, cols, channels) or (n,)
            An image: bytes, 16-bit values, booleans, or floats in the model's range, such as
            0..255. Grey is converted to RGB, or RGB to grey; an alpha channel is dropped. A vector,
            for a network that takes one, is returned as float32.

        Returns
        -------
        ndarray of float32
        """
        if isinstance(data, Frame):
            raise TypeError("takes an array, not a frame: give its .data, or run a Pipeline on it")
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
        """Return an image in the model's range and channels, as input of the preprocessing.

        If it is more than 16 times as long as wide, both ends are cut off.
        """
        top = self.description.range
        pixels = with_channels(ranged(central(image), top), self.description.channels)
        self._check_range(image, "f")
        return pixels

    def _check_range(self, image: Array, kinds: str) -> None:
        if self.description.preprocessing and self.description.range > 1:
            check_range(image, self.description.range, kinds)

    def run(self, x: npt.ArrayLike, until: str | None = None) -> Array:
        """Run the network on a prepared input, to its end or to a named layer.

        Parameters
        ----------
        x : array_like
            As from `prepare`.
        until : str, optional
            The name of a layer or of an operation in it, such as `block3.depthwise`.

        Returns
        -------
        ndarray of float32

        Raises
        ------
        ValueError
            There is no such layer; the message suggests similar names.
        """
        name = until or self.last
        return self.outputs(x, [name])[name]

    def outputs(self, x: npt.ArrayLike, names: Sequence[str]) -> dict[str, Array]:
        """Run once and return the results of several layers, by name; see `run`."""
        return self.runner.run(np.asarray(x), names)

    def every(self, x: npt.ArrayLike) -> dict[str, Array]:
        """Return the results of all operations, by name, for a prepared input.

        Raises
        ------
        ValueError
            The network is not run by featcli's own engine.
        """
        if not isinstance(self.runner, Runner):
            raise ValueError(f"the model {self.name} is not run by featcli's own engine")
        return self.runner.every(np.asarray(x))

    def for_workers(self, names: Sequence[str]) -> Any:
        """Return an object that saves worker processes the export of the model, or None."""
        handed = getattr(self.runner, "handed", None)
        return handed(names) if handed else None

    def check_layer(self, name: str) -> None:
        """Raise ValueError, with similar names, if there is no such layer."""
        self.description.network.node_of(name)


def _misfit(name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if len(wanted) == 1:
        return f"the model {name} takes a vector of {wanted[0]} values, not shape {shape}"
    return f"the model {name} takes an image, not an array of shape {shape}"
