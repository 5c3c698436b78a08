"""Run a pipeline or a model on one picture, and keep every layer with its rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from featcli.errors import FeatError, StageError
from featcli.frame import Array, Frame, Step
from featcli.models.layers import Operation, Shape
from featcli.models.model import Model
from featcli.models.network import Node
from featcli.models.pixels import central
from featcli.models.rules import cut, picked, rule_of, rule_of_operation
from featcli.models.running import operation
from featcli.pipeline import Pipeline, apply, caption
from featcli.trace import Add, Dense, Layer, Opaque, Rule, Softmax, Sum, Trace

BEST = 5


class _Recorder:
    """The layers so far; every name is made unique."""

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
        """Keep a layer and return its number."""
        count = self._names[name] = self._names.get(name, 0) + 1
        if data.ndim == 3 and not labels:
            labels = [str(k) for k in range(data.shape[2])]
        unique = name if count == 1 else f"{name} {count}"
        self.layers.append(Layer(unique, title, rule, inputs, data, tuple(labels), group))
        return len(self.layers) - 1


@np.errstate(all="ignore")  # what overflows is shown as such
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
        A stage refuses its array; the message names the step and the array's shape.
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
        With featcli's own layers; of an ONNX model only onnxruntime knows what it computes.
    frame : Frame
        An image, or the vector that the network takes.

    Returns
    -------
    Trace

    Raises
    ------
    StageError
        The image does not fit; the message says which sizes do.
    """
    record = _Recorder()
    number = record.add("input", "the picture", Opaque(), (), frame.data, frame.labels)
    number = _preprocess(record, model, frame, number)
    x = np.ascontiguousarray(record.layers[number].data, dtype=np.float32)
    _check_size(model, frame, x)
    try:
        found = model.outputs(x, [node.name for node in model.description.network.nodes])
        for node in model.description.network.nodes:
            number = _node(record, model, node, x, found[node.name], number)
            x = found[node.name]
    except ValueError as error:
        raise StageError(f"{_name(frame)}: {error}") from error
    about = (model.description.title or f"The model {model.name}").rstrip(".") + "."
    layers = _named(record.layers, model.labels)
    return Trace(_name(frame), model.name, about, layers, _scores(layers))


def _preprocess(record: _Recorder, model: Model, frame: Frame, number: int) -> int:
    """Record what happens to an image before the network; return the number of the last layer."""
    if frame.kind == "vector":
        return number
    try:
        image = central(frame.data)
        if image.shape != frame.data.shape:
            rule, labels = cut(frame.data, image), record.layers[number].labels
            title = "cut off the far ends"
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
        wanted = _shape(model.description.network.input)
        raise StageError(
            f"{_name(frame)}: a picture of {_shape(frame.data.shape)} does not become the {wanted} "
            f"that the network {model.name} takes: {error}"
        ) from error
    return number


def _converted(record: _Recorder, before: Array, pixels: Array, number: int) -> int:
    """Record the change to the network's own range and channels."""
    is_gray = before.shape[2] == 3 and pixels.shape == (*before.shape[:2], 1)
    if is_gray and before.dtype == pixels.dtype:
        step = Step.of("gray", weights="rec601")
        rule = rule_of(step, before, pixels)
        return record.add("gray", "gray", rule, (number,), pixels, ("gray",), "preprocessing")
    text = "Bring the picture to the channels and the range that the network takes."
    labels = ("R", "G", "B") if pixels.shape[2] == 3 else ("gray",)
    title = "to the network's kind of picture"
    return record.add("pixels", title, Opaque(text), (number,), pixels, labels, "preprocessing")


def _other(model: Model) -> str:
    channels = model.description.network.input[-1]
    return "it does not fit: make it gray first" if channels == 1 else "it does not fit"


def _check_size(model: Model, frame: Frame, x: Array) -> None:
    wanted = model.description.network.input
    if x.shape == wanted:
        return
    small = (
        len(wanted) == 3
        and x.ndim == 3
        and any(a < b for a, b in zip(x.shape, wanted, strict=True))
    )
    remedy = f"give a picture of at least {wanted[0]}x{wanted[1]}" if small else _other(model)
    raise StageError(
        f"{_name(frame)}: it comes to {_shape(x.shape)}, and the network {model.name} takes "
        f"{_shape(wanted)}: {remedy}"
    )


def _node(record: _Recorder, model: Model, node: Node, x: Array, result: Array, number: int) -> int:
    """Record a layer of a network; return the number of its result."""
    if node.layer is None:
        title = caption([node.step])
        return record.add(node.name, title, rule_of(node.step, x, result), (number,), result)
    block = _Block(record, model, node, x, result)
    last, before = number, node.before
    for one in node.layer.operations:
        last = block.operation(one, before, last)
        before = one.shape
    if not node.layer.skip:
        return last
    if node.layer.shortcut:
        number = block.operation(node.layer.shortcut, node.before, number)
    after = node.layer.activation
    title = "add the block's input" + _then(after)
    return record.add(node.name, title, Add(after), (last, number), result, (), block.group)


class _Block:
    """A layer with numbers: its operations, each with what it gave."""

    def __init__(
        self, record: _Recorder, model: Model, node: Node, x: Array, result: Array
    ) -> None:
        assert node.layer is not None
        self._record, self._model = record, model
        self._names = {id(one): name for name, one in node.operations}
        self._inner = model.inside(node.name, x)
        if not node.layer.skip:  # where the layer takes a quicker way, the next one goes on from it
            self._inner[self._names[id(node.layer.operations[-1])]] = result
        self.group = node.name if len(node.layer.all) > 1 else ""

    def operation(self, one: Operation, before: Shape, number: int) -> int:
        """Record an operation; return the number of its result."""
        name = self._names[id(one)]
        weights = {part: self._model.weights[f"{name}.{part}"] for part in one.weights}
        rule = rule_of_operation(one, before, weights)
        if one.activation == "softmax" and isinstance(rule, Dense | Sum):
            number = self._scores(name, one, rule, before, weights, number)
            rule, title = Softmax(), "softmax"
            return self._record.add(name, title, rule, (number,), self._inner[name], (), self.group)
        title = _title(one) + _then(one.activation)
        return self._record.add(name, title, rule, (number,), self._inner[name], (), self.group)

    def _scores(
        self,
        name: str,
        one: Operation,
        rule: Dense | Sum,
        before: Shape,
        weights: Mapping[str, Array],
        number: int,
    ) -> int:
        """Record what a softmax is taken of as a layer of its own: it takes all of it at once."""
        plain = operation(one._replace(activation="none"), before, weights)
        data = plain(self._record.layers[number].data)
        rule = replace(rule, activation="none")
        title = f"{_title(one)}, before softmax"
        return self._record.add(f"{name}.scores", title, rule, (number,), data, (), self.group)


def _title(one: Operation) -> str:
    if one.kind != "conv":
        return one.kind
    rows, cols, width, _ = one.weights["weight"]
    own = "depthwise " if one.options["groups"] > 1 and width == 1 else ""
    stride = f" --stride {one.options['stride']}" if one.options["stride"] > 1 else ""
    return f"{own}conv {one.shape[2]} {rows}x{cols}{stride}"


def _then(activation: str) -> str:
    return "" if activation == "none" else f", then {activation}"


def _named(layers: Sequence[Layer], labels: tuple[str, ...]) -> tuple[Layer, ...]:
    """Give the vectors at the end, from the last layer with weights on, the classes' names."""
    found = list(layers)
    for at in range(len(found) - 1, 0, -1):
        layer = found[at]
        if layer.data.shape != (len(labels),):
            break
        found[at] = replace(layer, labels=labels)
        if isinstance(layer.rule, Dense):
            break
    return tuple(found)


def _scores(layers: Sequence[Layer]) -> tuple[tuple[str, float], ...]:
    """Return the best classes, where the end is a vector that weights have made."""
    last = layers[-1]
    vectors = [layer for layer in layers if layer.data.ndim == 1]
    if last.data.ndim != 1 or not any(isinstance(layer.rule, Dense) for layer in vectors):
        return ()
    order = np.argsort(-last.data, kind="stable")[:BEST]
    labels = last.labels or tuple(map(str, range(len(last.data))))
    return tuple((labels[i], float(last.data[i])) for i in order)


def _name(frame: Frame) -> str:
    return frame.source.file or frame.source.key


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


__all__ = ["BEST", "trace_model", "trace_pipeline"]
