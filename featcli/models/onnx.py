"""ONNX models, run by onnxruntime (the extra `onnx`).

A JSON file beside the model can add what ONNX does not describe: see `sidecar`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from featcli.errors import nearest
from featcli.extras import extra
from featcli.frame import Array
from featcli.models import onnx_file, sidecar
from featcli.models.files import Description, ModelError, described
from featcli.models.graphs import LARGEST, Graph, free
from featcli.models.network import Network, Row, check_fits, sizes
from featcli.models.onnx_file import sound
from featcli.models.operations import Shape
from featcli.models.sessions import Sessions
from featcli.ops.activation import softmax

# The supported types, by their numbers in TensorProto.
_TYPES = {1: np.float32, 2: np.uint8, 10: np.float16, 11: np.float64}
_INT8 = 3
_SLACK = 1e-3  # by how much the sum of probabilities may differ from 1
END = "probabilities"


class OnnxNetwork(Network):
    """The network of an ONNX graph, with the shapes that onnx infers.

    Parameters
    ----------
    graph : Graph
    shape : tuple of int
        Shape of the input, channels last; 0 for any size.
    softmax : bool
        Whether to append a softmax because the graph returns scores, not probabilities.

    Attributes
    ----------
    is_raw : bool
        Whether the preprocessing is unknown, so that pixels are used unchanged.
    """

    def __init__(self, graph: Graph, shape: Shape, softmax: bool) -> None:
        self.text, self.input, self.nodes = "", shape, ()
        self.graph, self.softmax = graph, softmax
        self.result = _as_vector(graph.result_shape)
        ends = [name for name, tensor in graph.names.items() if tensor == graph.output]
        self.end = free(END, graph.names) if softmax or not ends else ends[0]
        self.is_raw = False
        self.names = (*graph.names, *([self.end] if self.end not in graph.names else []))

    @property
    def shape(self) -> Shape:
        """The shape of the result; () if unknown."""
        return () if self.is_open else self.result

    @property
    def is_open(self) -> bool:
        """Whether the shape of the result is unknown."""
        return not self.result or 0 in self.result

    @property
    def last(self) -> str:
        """The name of the node that gives the result."""
        return self.end

    @property
    def embedding(self) -> str:
        """The name of the node before the last product with weights."""
        return self.graph.embedding or self.end

    @property
    def rows(self) -> list[Row]:
        """The rows of `info`, one for each node, and one for the appended softmax."""
        found = [
            row._replace(shape=self.result) if row.name == self.end else row
            for row in self.graph.rows
        ]
        return [*found, *([Row(self.end, "softmax", self.result, 0, 0)] if self.softmax else [])]

    def node_of(self, name: str) -> Any:
        """Raise ValueError, with similar names, if there is no such node."""
        if name not in self.names:
            raise self.unknown(name)


class OnnxRunner:
    """Run a graph by onnxruntime, and return any of its tensors.

    Parameters
    ----------
    model : onnx.ModelProto
    network : OnnxNetwork
    is_sure : bool
        Whether the file or its sidecar says if a softmax is needed; otherwise results that look
        like probabilities get none.
    device : {"cpu", "cuda"}
    """

    def __init__(
        self, model: Any, network: OnnxNetwork, is_sure: bool, device: str = "cpu"
    ) -> None:
        self.maker = str(model.producer_name)
        self._network = network
        self._graph = network.graph
        self._is_sure = is_sure
        self._sessions = Sessions(model, device)
        self.check_device = self._sessions.check_device

    def run(self, x: Array, names: Sequence[str]) -> dict[str, Array]:
        """Run on one array and return the results of the named nodes."""
        for name in names:
            self._network.node_of(name)
        tensors = {name: self._graph.names.get(name, self._graph.output) for name in names}
        found = self.tensors(x, tensors.values())
        return {
            name: self.result(found[tensor])
            if name == self._network.end
            else self._arranged(name, self._graph.one(tensor, found[tensor]))
            for name, tensor in tensors.items()
        }

    def tensors(self, x: Array, names: Iterable[str]) -> dict[str, Array]:
        """Run on one array and return tensors in the graph's own layout, by name."""
        self._network.check_input(x.shape)
        return self._sessions.run(names, {self._graph.input: self._given(x)})

    def _given(self, x: Array) -> Array:
        """Return an image in the type, layout and batch size of the graph's input."""
        kind = _TYPES[self._graph.kind]
        if kind == np.uint8:
            x = np.clip(np.rint(x), 0, 255)
        if x.ndim == 3 and self._graph.is_first(self._graph.input):
            x = np.moveaxis(x, 2, 0)
        whole = np.broadcast_to(x, (self._graph.batch, *x.shape))
        return np.ascontiguousarray(whole, dtype=kind)

    def _arranged(self, name: str, array: Array) -> Array:
        if not array.size:
            raise ValueError(f"the result of the layer {name} is empty for this image")
        return np.ascontiguousarray(array, dtype=np.float32)

    def result(self, data: Array) -> Array:
        """Return the graph's result for one image, as probabilities if it is a vector.

        Raises
        ------
        ValueError
            The shape is not the one that the file declares.
        """
        array = self._graph.result(data)
        array = array.reshape(_as_vector(array.shape))
        is_scores = self._network.softmax and array.ndim == 1
        if is_scores and (self._is_sure or not _are_shares(array)):
            with np.errstate(all="ignore"):  # NaN and infinity show in the results
                array = softmax(array.astype(np.float64))
        said = self._network.shape
        if said and array.shape != said:
            raise ValueError(f"it gives {sizes(array.shape)}, but its file says {sizes(said)}")
        return self._arranged(self._network.end, array)


def _are_shares(array: Array) -> bool:
    """Return whether values look like the result of a softmax."""
    return bool(array.min() >= 0 and abs(array.sum(dtype=np.float64) - 1) < _SLACK)


def load(
    path: Path, input_shape: Shape = (), device: str = "cpu"
) -> tuple[Description, OnnxRunner]:
    """Read an .onnx file and its sidecar.

    Parameters
    ----------
    path : Path
    input_shape : tuple of int, optional
        Rows, columns and channels, or the number of values, if the network does not fix them.
    device : {"cpu", "cuda"}

    Raises
    ------
    UsageError
        The packages of the extra `onnx` are not installed.
    ModelError
        The file or its sidecar is invalid.
    ValueError
        The network does not accept an input of this shape.
    """
    extra("onnxruntime", "onnx")
    beside = sidecar.read(path)
    with _blaming(path):
        given = input_shape or beside.get("input", [])
        model = onnx_file.read(path, 2 if isinstance(given, Sequence) and len(given) == 1 else 4)
        about = {**onnx_file.metadata(model), **beside}
        graph = _graph(model, about)
    if input_shape:
        _size(graph, list(input_shape))
        about["input"] = list(input_shape)
    with _blaming(path):
        network, runner = _network(model, graph, about, device)
    with _blaming(sidecar.place(path) if beside else path):
        return _described(
            {"name": path.stem, "title": runner.maker, **about}, network, path
        ), runner


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Turn errors in the `with` block into a ModelError that names the file."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise ModelError(f"{path}: {error}") from error


def _described(about: dict[str, Any], network: OnnxNetwork, path: Path) -> Description:
    """Return the description of a network; raises ValueError if it is invalid."""
    if network.input[-1] == 1 and len(network.input) == 3:
        about.setdefault("channels", "gray")
    found = described(about, network, onnx_file.digest(onnx_file.files(path)))
    if found.preprocessing:
        check_fits(found.preprocessing, network, 3 if found.channels == "RGB" else 1)
    is_float = _TYPES[network.graph.kind] != np.uint8
    network.is_raw = is_float and "preprocessing" not in about and found.range == 255
    return found


def _graph(model: Any, about: Mapping[str, Any]) -> Graph:
    """Return the graph with its input and output; raises ValueError."""
    start = _input_of(model.graph)
    end = _output_of(model.graph, about)
    return Graph(_with_shapes(model), start, end, about.get("layout", ""))


def _with_shapes(model: Any) -> Any:
    """Return the graph with the shapes that onnx infers; raises ValueError."""
    with sound():
        return extra("onnx", "onnx").shape_inference.infer_shapes(model, data_prop=True).graph


def _network(
    model: Any, graph: Graph, about: Mapping[str, Any], device: str
) -> tuple[OnnxNetwork, OnnxRunner]:
    """Return the network for the declared input shape, and its runner; raises ValueError."""
    graph.check_sizes()
    shape = _size(graph, about.get("input"))
    if shape != graph.shape(graph.input):
        _set_input(model.graph, graph, shape)
        graph = replace(graph, proto=_with_shapes(model), layout=graph.layouts[graph.input])
        graph.check_sizes()
    network = OnnxNetwork(graph, shape, about.get("softmax", not graph.gives_shares))
    runner = OnnxRunner(model, network, "softmax" in about, device)
    if network.is_open and 0 not in network.input:
        found = runner.run(np.zeros(network.input, np.float32), [network.end])
        network.result = found[network.end].shape
    if network.softmax and network.result == (1,):
        raise ValueError("it gives a single value that is not a probability: end it in a sigmoid")
    return network, runner


def _set_input(proto: Any, graph: Graph, shape: Shape) -> None:
    """Write the input's shape into the graph where it is not fixed."""
    first = next(one for one in proto.input if one.name == graph.input)
    turned = len(shape) == 3 and graph.is_first(graph.input)
    wanted = (shape[2], *shape[:2]) if turned else shape
    for size, count in zip(first.type.tensor_type.shape.dim[1:], wanted, strict=True):
        if count:
            size.dim_value = count


def _input_of(graph: Any) -> str:
    """Return the name of the input; raises ValueError unless there is exactly one."""
    inner = {one.name for one in graph.initializer}
    found = [one for one in graph.input if one.name not in inner]
    if len(found) != 1:
        names = f": {', '.join(one.name for one in found)}" if found else ""
        raise ValueError(f"it has {len(found) or 'no'} inputs, not one for an image{names}")
    kind = found[0].type.tensor_type.elem_type
    if kind not in _TYPES:
        raise ValueError("the type of its input is not supported: floats and bytes are")
    return str(found[0].name)


def _output_of(graph: Any, about: Mapping[str, Any]) -> str:
    """Return the name of the result with the classes; raises ValueError if that is not clear."""
    names = [one.name for one in graph.output]
    named = about.get("output", names[0])
    if named not in names:
        raise ValueError(
            f"it has no result {named!r}{nearest(named, names) or ', only ' + _list(names)}"
        )
    if len(names) > 1 and "output" not in about:
        raise ValueError(
            f"it has {len(names)} results: {_list(names)}; name the one with the classes in the "
            '.json beside it, as {"output": NAME}'
        )
    kind = graph.output[names.index(named)].type
    if not kind.HasField("tensor_type"):
        raise ValueError(f"its result {named!r} is not an array of numbers")
    if kind.tensor_type.elem_type not in (*_TYPES, _INT8):
        raise ValueError(f"the type of its result {named!r} is not supported: floats and bytes are")
    # If the result is quantized, use the floats before that.
    makers = {node.output[0]: node for node in graph.node if node.op_type == "QuantizeLinear"}
    return str(makers[named].input[0] if named in makers else named)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")


def _size(graph: Graph, given: Any = None) -> Shape:
    """Return the shape of the input, channels last; raises ValueError if it is invalid."""
    whole = graph.sizes[graph.input]
    if len(whole) not in (2, 4):
        raise ValueError(
            f"its input has the shape {sizes(whole) or '()'}: a batch of images has four axes, one "
            "of vectors two"
        )
    shape = list(graph.shape(graph.input))
    found = shape if given is None else given
    is_size = isinstance(found, list) and all(type(n) is int and 0 <= n < 10_000 for n in found)
    if not is_size or len(found) != len(shape):
        raise ValueError(f"input must be {len(shape)} whole numbers below 10,000, not {found}")
    if any(n not in (m, 0) for n, m in zip(shape, found, strict=True)):
        raise ValueError(f"input is {sizes(found)}, but the network takes {sizes(shape)}")
    if math.prod(max(n, 1) for n in found) > LARGEST:
        raise ValueError(f"its input of {sizes(found)} is too large for memory")
    return tuple(found)


def _as_vector(shape: Shape) -> Shape:
    """Return the shape as that of a vector if all other axes have length 1: (1, 1, classes)."""
    return (math.prod(shape),) if shape and sum(n != 1 for n in shape) <= 1 else shape
