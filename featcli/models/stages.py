"""The stages `classify`, `features` and `feature-maps`: a whole network as one stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, get_args

import numpy as np
import numpy.typing as npt

from featcli.frame import Array, Frame, Source, Step
from featcli.models.labels import labels_reference
from featcli.models.loading import DEFAULT, Device, Engine, load_model, name_of, parse_shape
from featcli.models.model import GIVEN, Model
from featcli.models.network import preprocessing as parse_preprocessing
from featcli.models.network import sizes
from featcli.models.pixels import central
from featcli.ops.resizing import resize
from featcli.pipeline import Pipeline
from featcli.stage import Converter, stage


def _choice(choices: Any) -> Callable[[str], str]:
    """Return a parser for the choices of a `Literal`."""

    def read(text: str) -> str:
        if text not in get_args(choices):
            raise ValueError(f"{text!r} is not one of {', '.join(get_args(choices))}")
        return text

    return read


ModelName = Annotated[str, Converter(str, "NAME|PATH", tag=lambda text: name_of(text))]
Layer = Annotated[str, Converter(str, "LAYER")]
# These options are not part of output names, so that a run with others replaces the same files.
Labels = Annotated[str, Converter(labels_reference, "FILE", tag=lambda _: "")]
Preprocessing = Annotated[
    str, Converter(lambda text: str(parse_preprocessing(text)), "PIPELINE", tag=lambda _: "")
]
InputShape = Annotated[
    str, Converter(lambda text: sizes(parse_shape(text)), "SHAPE", tag=lambda _: "")
]
EngineName = Annotated[Engine, Converter(_choice(Engine), "auto|onnxruntime", tag=lambda _: "")]
DeviceName = Annotated[Device, Converter(_choice(Device), "cpu|cuda", tag=lambda _: "")]

_ROWS = 224  # rows of an image in a drawing
_NETWORK = 100_000_000  # bytes for the layers of one image and the model's weights
LONGEST_VECTOR = 1_000_000


def model_of(model: str, **given: Any) -> Model:
    """Load a model with the loading options among a stage's parameters."""
    return load_model(model, **{name: given[name] for name in GIVEN if name in given})


def _labels(_labels: Sequence[str], model: str, **given: str) -> tuple[str, ...]:
    return model_of(model, **given).labels


def _decode_size(rows: int, cols: int, *, model: str, **given: str) -> tuple[int, int, str] | None:
    """Return the first resizing of the preprocessing; None for strips whose ends are cut off."""
    before = model_of(model, **given).description.preprocessing
    is_strip = central(np.broadcast_to(np.uint8(0), (rows, cols))).shape != (rows, cols)
    return None if is_strip or not before else before.decode_size(rows, cols)


def _pixel_range(*, model: str, **given: str) -> int:
    return model_of(model, **given).description.range


def _shape(shape: tuple[int, ...], **_: str) -> tuple[int, ...]:
    return (min(math.prod(shape), LONGEST_VECTOR),)


def _work(shape: tuple[int, ...], dtype: np.dtype[Any], *, model: str, **given: str) -> int:
    """Estimate the bytes that the preprocessing and the network need."""
    before = model_of(model, **given).description.preprocessing
    is_plain = dtype == np.uint8 and shape[-1] == 3
    pixels = 0 if is_plain else 8 * math.prod(shape)
    seen = central(np.broadcast_to(np.uint8(0), shape)).shape if len(shape) > 1 else shape
    return pixels + _NETWORK + (before.memory(seen, np.dtype(np.uint8)) if before else 0)


def _probabilities_once(*, model: str, **given: str) -> Any:
    found = model_of(model, **given)
    return found.for_workers([found.last])


def _layer_once(*, model: str, layer: str, **given: str) -> Any:
    found = model_of(model, **given)
    return found.for_workers([layer or found.embedding])


def _known(model: str, **given: str) -> dict[str, str]:
    """Return the parameters with the model's current hash, and the name of the layer if any."""
    found = model_of(model, **given)
    if "layer" in given:
        given["layer"] = given["layer"] or found.embedding
        found.check_layer(given["layer"])
    return {"model": found.reference, **given}


_OF_MODELS: dict[str, Any] = {
    "decode_size": _decode_size,
    "pixel_range": _pixel_range,
    "resolve_params": _known,
    "work": _work,
}


@stage(
    takes="any",
    gives="vector",
    labels=_labels,
    tag="{model}{labels}{preprocessing}{input_shape}{engine}{device}",
    shape=_shape,
    once=_probabilities_once,
    **_OF_MODELS,
)
def classify(
    x: npt.ArrayLike,
    model: ModelName = DEFAULT,
    *,
    labels: Labels = "",
    preprocessing: Preprocessing = "",
    input_shape: InputShape = "",
    engine: EngineName = "auto",
    device: DeviceName = "cpu",
) -> Array:
    """Classify an image: return the probability of every class of a model.

    Parameters
    ----------
    x : array_like, (rows, cols, channels), (rows, cols) or (n,)
        An image of 0..255 (16-bit integers are scaled by their type), or a vector for a model of
        dense layers.
    model : str
        The name of a model that ships with featcli, or the path of a model file.
    labels : str
        A file with the names of the classes, instead of the model's own: text with one name per
        line, or a JSON list.
    preprocessing : str
        A pipeline from an image to the network's input, instead of the model's own.
    input_shape : str
        Rows, columns and channels of the input, if an .onnx does not fix them: 224x224x3.
    engine : {"auto", "onnxruntime"}
        auto runs featcli's models by featcli, and .onnx by onnxruntime, which can run both.
    device : {"cpu", "cuda"}
        The device that onnxruntime uses.

    Returns
    -------
    ndarray of float32, (classes,)
    """
    found = load_model(
        model,
        labels=labels,
        preprocessing=preprocessing,
        input_shape=input_shape,
        engine=engine,
        device=device,
    )
    return found.probabilities(x)


@stage(
    takes="any",
    gives="vector",
    labels=lambda _labels, **_: (),
    tag="{model}-{layer}{preprocessing}{input_shape}{engine}{device}",
    shape=_shape,
    once=_layer_once,
    **_OF_MODELS,
)
def features(
    x: npt.ArrayLike,
    model: ModelName = DEFAULT,
    *,
    layer: Layer = "",
    preprocessing: Preprocessing = "",
    input_shape: InputShape = "",
    engine: EngineName = "auto",
    device: DeviceName = "cpu",
) -> Array:
    """Return the result of a layer of a model as a vector.

    Parameters
    ----------
    x : array_like
        As for classify.
    model : str
        As for classify.
    layer : str
        The layer's name; 'featcli info MODEL' lists them. By default the one before the last
        layer with weights, such as pool of imagenet.
    preprocessing, input_shape, engine, device : str
        As for classify.

    Returns
    -------
    ndarray of float32, (n,)
        Maps are flattened channel by channel, each row by row, as by flatten.
    """
    found = load_model(
        model, preprocessing=preprocessing, input_shape=input_shape, engine=engine, device=device
    )
    return flat(found.run(found.prepare(x), layer or found.embedding))


def _layer_shape(_shape: tuple[int, ...], *, model: str, layer: str, **given: str) -> Any:
    found = model_of(model, **given)
    shapes = {row.name: row.shape for row in found.layers}
    return tuple(shapes.get(layer or found.embedding, ())) or (1, 1, LONGEST_VECTOR)


@stage(
    takes="any",
    gives="maps",
    labels=lambda _labels, **_: (),
    tag="{model}-{layer}-maps{preprocessing}{input_shape}{engine}{device}",
    shape=_layer_shape,
    once=_layer_once,
    **_OF_MODELS,
)
def feature_maps(
    x: npt.ArrayLike,
    model: ModelName = DEFAULT,
    *,
    layer: Layer,
    preprocessing: Preprocessing = "",
    input_shape: InputShape = "",
    engine: EngineName = "auto",
    device: DeviceName = "cpu",
) -> Array:
    """Return the feature maps of a layer of a neural network.

    The next stages of a pipeline can pool or flatten them. 'featcli features --maps' gives the same
    maps, also of several layers and of the tiles of an image.

    Parameters
    ----------
    x : array_like, (rows, cols, channels), (rows, cols) or (n,)
        An image of 0..255 (16-bit integers are scaled by their type), or a vector for a model of
        dense layers.
    model : str
        The name of an included model, or a model file (.npz, or .onnx with the extra onnx).
    layer : str
        The layer whose maps to return; 'featcli info MODEL' lists the layers.
    preprocessing : str
        The pipeline that prepares images for the network, to use instead of the model's own.
    input_shape : str
        Rows, columns and channels of the input, if an .onnx does not fix them: 224x224x3.
    engine : {"auto", "onnxruntime"}
        What runs the network. auto: onnxruntime for .onnx files, otherwise featcli.
    device : {"cpu", "cuda"}
        The device for onnxruntime; cuda needs the package onnxruntime-gpu.

    Returns
    -------
    ndarray of float32, (rows, cols, channels)

    Raises
    ------
    ValueError
        The layer gives a vector.

    Examples
    --------
    The maps of a layer of the included network:

        featcli feature-maps photo.jpg --layer block3

    The largest value of each map:

        featcli run "feature-maps --layer block3 | pool --global" photo.jpg
    """
    found = load_model(
        model, preprocessing=preprocessing, input_shape=input_shape, engine=engine, device=device
    )
    name = layer or found.embedding
    return maps(found.run(found.prepare(x), name), name)


def maps(data: Array, layer: str) -> Array:
    """Return maps unchanged; raises ValueError for a vector."""
    if data.ndim != 3:
        raise ValueError(f"{layer} gives a vector of {sizes(data.shape)} values: use features")
    return data


def flat(data: Array) -> Array:
    """Return maps as a vector, in the order of the stage `flatten`."""
    return np.moveaxis(data, 2, 0).reshape(-1) if data.ndim == 3 else data.reshape(-1)


class Classification(Pipeline):
    """The pipeline of `classify`, which keeps a small copy of each image for drawing the result.

    Parameters
    ----------
    model : str
        A name or a path.
    keep : bool
        Whether to keep the copies.
    given : mapping of str to str
        Further arguments of `load_model`.
    """

    def __init__(self, model: str, keep: bool, given: Mapping[str, str]) -> None:
        self.model = load_model(model, **given)
        self._keep = keep
        self._images: dict[Source, Array] = {}
        super().__init__([Step.of("classify", **self.model.params)])

    def __reduce__(self) -> tuple[Any, ...]:
        given = self.model.params
        return type(self), (given.pop("model"), self._keep, given)

    @property
    def about(self) -> dict[str, Any]:
        """See `Pipeline.about`."""
        return super().about | {"model": self.model.about}

    def _run(self, frame: Frame) -> list[Frame]:
        if self._keep and frame.kind == "maps":
            self._images[frame.source] = small(frame.data)
        return super()._run(frame)

    def hand_over(self) -> Any:
        """Return the small images; see `Pipeline.hand_over`."""
        images, self._images = self._images, {}
        return images

    def take_over(self, kept: Any) -> None:
        """See `Pipeline.take_over`."""
        self._images.update(kept)

    def image_of(self, frame: Frame) -> Array | None:
        """Return and forget the small copy of a result's image; None for a vector."""
        return self._images.pop(frame.source, None)


def small(data: Array) -> Array:
    """Resize maps to fit into 224 rows and 672 columns; enlarged pixels stay sharp.

    If a picture is more than 16 times as long as wide, only the middle is shown, as in the model.
    """
    whole = central(data)
    scale = min(_ROWS / whole.shape[0], 3 * _ROWS / whole.shape[1])
    taken = whole[:: max(1, int(0.5 / scale)), :: max(1, int(0.5 / scale))]
    height, width = (max(1, round(n * scale)) for n in whole.shape[:2])
    return resize(taken, (height, width), filter="nearest" if scale > 2 else "bicubic")
