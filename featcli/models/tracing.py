"""Run a pipeline or a model on one picture, and record every layer with its rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from featcli.errors import FeatError, StageError
from featcli.frame import Array, Frame, Step
from featcli.models.model import Model
from featcli.models.network import Node, Placed, sizes
from featcli.models.pixels import central
from featcli.models.rules import cut, picked, rule_of
from featcli.pipeline import Pipeline, apply, caption
from featcli.trace import Activate, Add, Affine, Dense, Flatten, Layer, Opaque, Rule, Sum, Trace

BEST = 5


class _Recorder:
    """The layers recorded so far, with unique names."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._names: dict[str, int] = {}

    def add(
        self,
        name: str,
        title: str,
        rule: Rule,
        inputs: tuple[int, ...],
        data: Array,
        labels: Sequence[str] = (),
        group: str = "",
    ) -> int:
        """Record a layer and return its number."""
        count = self._names[name] = self._names.get(name, 0) + 1
        if data.ndim == 3 and not labels:
            labels = [str(k) for k in range(data.shape[2])]
        unique = name if count == 1 else f"{name} {count}"
        before = [self.layers[one].data for one in inputs]
        kept = self.layers[inputs[0]].row_length if len(inputs) == 1 else 0
        row = _row_length(rule, before, kept) if data.ndim == 1 else 0
        self.layers.append(Layer(unique, title, rule, inputs, data, tuple(labels), group, row))
        return len(self.layers) - 1


def _row_length(rule: Rule, before: Sequence[Array], kept: int) -> int:
    """Return how many values of a vector were one row of maps; 0 if it is not flattened maps."""
    if isinstance(rule, Flatten) and before[0].ndim == 3:
        _, cols, channels = before[0].shape
        return cols * channels if rule.order == "hwc" else cols
    return kept if isinstance(rule, Activate | Affine | Add) else 0


@np.errstate(all="ignore")  # overflow shows in the results
def trace_pipeline(pipeline: Pipeline, frame: Frame) -> Trace:
    """Run a pipeline on a frame, step by step.

    Parameters
    ----------
    pipeline : Pipeline
    frame : Frame

    Returns
    -------
    Trace
        A layer for each step, or for each part after `split-channels`.

    Raises
    ------
    StageError
        A stage does not accept its input; the message names the step and the shape.
    """
    record = _Recorder()
    first = record.add("input", "the picture", Opaque(), (), frame.data, frame.labels)
    ends = [(frame, first)]
    try:
        for step in pipeline.steps:
            ends = [e for one in ends for e in _step(record, step, *one, parted=pipeline.splits)]
    except StageError as error:
        raise StageError(f"{_name(frame)}: {error}") from error
    scores = _scores(record.layers) if len(ends) == 1 else ()
    about = f"{len(pipeline.steps)} steps, each with fixed numbers."
    return Trace(_name(frame), str(pipeline), about, tuple(record.layers), scores)


def _step(
    record: _Recorder, step: Step, frame: Frame, number: int, parted: bool, group: str = ""
) -> list[tuple[Frame, int]]:
    """Apply one step to one frame, and record each of its results."""
    results = apply(step, frame)
    title = caption([step])
    ends = []
    for channel, result in enumerate(results):
        split = step.stage == "split-channels"
        rule = picked(frame.data, channel) if split else rule_of(step, frame.data, result.data)
        name = " ".join(filter(None, (step.stage, result.part)))
        inside = group or (title if parted else "")
        added = record.add(name, title, rule, (number,), result.data, result.labels, inside)
        ends.append((result, added))
    return ends


@np.errstate(all="ignore")
def trace_model(model: Model, frame: Frame) -> Trace:
    """Run a model on an image: its preprocessing, then every operation of its layers.

    Parameters
    ----------
    model : Model
        Of an ONNX model, each node is recorded.
    frame : Frame
        An image, or the vector that the network takes.

    Returns
    -------
    Trace

    Raises
    ------
    StageError
        The image does not fit the network; the message says which sizes do.
    """
    record = _Recorder()
    number = record.add("input", "the picture", Opaque(), (), frame.data, frame.labels)
    number = _preprocess(record, model, frame, number)
    x = np.ascontiguousarray(record.layers[number].data, dtype=np.float32)
    _check_size(model, frame, x)
    try:
        if model.description.network.nodes:
            block = _Network(record, model, model.every(x), number)
            for node in model.description.network.nodes:
                block.add(node)
        else:
            from featcli.models.onnx_tracing import trace_graph

            trace_graph(record.add, model, x, number)
    except ValueError as error:
        raise StageError(f"{_name(frame)}: {error}") from error
    about = (model.description.title or f"The model {model.name}").rstrip(".") + "."
    layers = _named(record.layers, model.labels)
    is_sure = not model.description.network.nodes and len(model.description.network.shape) == 1
    return Trace(_name(frame), model.name, about, layers, _scores(layers, is_sure))


def _preprocess(record: _Recorder, model: Model, frame: Frame, number: int) -> int:
    """Record the preprocessing of an image; return the number of the last layer."""
    if frame.kind == "vector":
        return number
    try:
        image = central(frame.data)
        if image.shape != frame.data.shape:
            rule, labels = cut(frame.data, image), record.layers[number].labels
            title = "cut off both ends"
            number = record.add("cut", title, rule, (number,), image, labels, "preprocessing")
        pixels = model.pixels(image)
        if pixels.shape != image.shape or pixels.dtype != image.dtype:
            number = _converted(record, image, pixels, number)
        current = Frame(pixels, record.layers[number].labels, frame.source)
        for step in (
            model.description.preprocessing.steps if model.description.preprocessing else ()
        ):
            ((current, number),) = _step(record, step, current, number, False, "preprocessing")
    except (ValueError, FeatError) as error:
        wanted = sizes(model.description.network.input)
        raise StageError(
            f"{_name(frame)}: a picture of {sizes(frame.data.shape)} cannot be converted to the "
            f"{wanted} that the network {model.name} takes: {error}"
        ) from error
    return number


def _converted(record: _Recorder, before: Array, pixels: Array, number: int) -> int:
    """Record the conversion to the network's range and channels."""
    is_gray = before.shape[2] == 3 and pixels.shape == (*before.shape[:2], 1)
    if is_gray and before.dtype == pixels.dtype:
        step = Step.of("gray", weights="rec601")
        rule = rule_of(step, before, pixels)
        return record.add("gray", "gray", rule, (number,), pixels, ("gray",), "preprocessing")
    text = "Convert the picture to the channels and the range that the network takes."
    labels = ("R", "G", "B") if pixels.shape[2] == 3 else ("gray",)
    title = "to the network's channels and range"
    return record.add("pixels", title, Opaque(text), (number,), pixels, labels, "preprocessing")


def _other(model: Model) -> str:
    channels = model.description.network.input[-1]
    return "convert it to grey first" if channels == 1 else "the shapes do not match"


def _check_size(model: Model, frame: Frame, x: Array) -> None:
    wanted = model.description.network.input
    if len(x.shape) == len(wanted) and all(n in (m, 0) for m, n in zip(x.shape, wanted)):  # noqa: B905
        return
    small = (
        len(wanted) == 3
        and x.ndim == 3
        and any(a < b for a, b in zip(x.shape, wanted, strict=True))
    )
    remedy = f"give a picture of at least {wanted[0]}x{wanted[1]}" if small else _other(model)
    raise StageError(
        f"{_name(frame)}: it becomes {sizes(x.shape)}, but the network {model.name} takes "
        f"{sizes(wanted)}: {remedy}"
    )


class _Network:
    """Record the operations of a network.

    Parameters
    ----------
    record : _Recorder
    model : Model
    values : dict of str to ndarray
        The results of all operations, by name; "" is the network's input.
    number : int
        Number of the layer that is the network's input.
    """

    def __init__(
        self, record: _Recorder, model: Model, values: dict[str, Array], number: int
    ) -> None:
        self._record, self._model, self._values = record, model, values
        self._numbers = {"": number}

    def add(self, node: Node) -> None:
        """Record a layer of the network, operation by operation."""
        group = node.name if len(node.operations) > 1 else ""
        for one in node.operations:
            title = one.operation.title or node.text
            self._numbers[one.name] = self._operation(one, title, group)

    def _operation(self, one: Placed, title: str, group: str) -> int:
        """Record an operation; return the number of its result."""
        inputs = [self._values[name] for name in one.inputs]
        numbers = tuple(self._numbers[name] for name in one.inputs)
        weights, result = one.weights(self._model.weights), self._values[one.name]
        rule, after = one.operation.rule(weights, inputs, result), one.activation
        if after is None:
            return self._record.add(one.name, title, rule, numbers, result, (), group)
        if isinstance(rule, Add | Dense | Sum) and after.function:
            rule = replace(rule, activation=after.function)
            title += f", then {after.kind}"
            return self._record.add(one.name, title, rule, numbers, result, (), group)
        # An activation over several values, such as softmax, is recorded as a separate layer.
        plain = one.operation.ready(weights)(*inputs)
        title = f"{title}, before {after.kind}"
        scores = self._record.add(f"{one.name}.scores", title, rule, numbers, plain, (), group)
        rule = after.rule({}, [plain], result)
        return self._record.add(one.name, after.kind, rule, (scores,), result, (), group)


def _named(layers: Sequence[Layer], labels: tuple[str, ...]) -> tuple[Layer, ...]:
    """Label the vectors from the last dense layer on with the names of the classes."""
    found = list(layers)
    for at in range(len(found) - 1, 0, -1):
        layer = found[at]
        if layer.data.shape != (len(labels),):
            break
        found[at] = replace(layer, labels=labels)
        if isinstance(layer.rule, Dense):
            break
    return tuple(found)


def _scores(layers: Sequence[Layer], is_sure: bool = False) -> tuple[tuple[str, float], ...]:
    """Return the best classes; none unless the last layer is a vector with class scores.

    Parameters
    ----------
    layers : sequence of Layer
    is_sure : bool
        Whether the last layer is known to have class scores; else a dense layer must come before.
    """
    last = layers[-1]
    vectors = [layer for layer in layers if layer.data.ndim == 1]
    is_sure = is_sure or any(isinstance(layer.rule, Dense) for layer in vectors)
    if last.data.ndim != 1 or not is_sure:
        return ()
    order = np.argsort(-last.data, kind="stable")[:BEST]
    labels = last.labels or tuple(map(str, range(len(last.data))))
    return tuple((labels[i], float(last.data[i])) for i in order)


def _name(frame: Frame) -> str:
    return frame.source.file or frame.source.key
