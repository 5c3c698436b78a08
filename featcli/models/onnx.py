"""A model of another maker, as ONNX, run by onnxruntime (the extra `onnx`).

What such a file does not say may stand beside it: see `sidecar`.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from featcli.errors import UsageError
from featcli.extras import extra
from featcli.models import sidecar
from featcli.models.files import Description, ModelError, described
from featcli.models.graphs import LARGEST, Graph, free
from featcli.models.layers import Shape
from featcli.models.network import Network, Row, check_fits, sizes
from featcli.ops.activation import softmax
from featcli.stage import nearest

Array = npt.NDArray[Any]
# By their numbers in TensorProto.
_TYPES = {1: np.float32, 2: np.uint8, 10: np.float16, 11: np.float64}
_INT8 = 3
_PATIENCE = 5.0  # seconds
_SLACK = 1e-3  # that probabilities may not sum to 1 by
END = "probabilities"


class OnnxNetwork(Network):
    """What is known of the graph: its nodes, with the shapes that onnx finds.

    Parameters
    ----------
    graph : Graph
    shape : tuple of int
        Of what goes in, channels last; 0 where the network leaves it open.
    softmax : bool
        Whether one is put at the end: what comes out are no probabilities yet.
    """

    def __init__(self, graph: Graph, shape: Shape, softmax: bool) -> None:
        self.text, self.input, self.nodes = "", shape, ()
        self.graph, self.softmax = graph, softmax
        self.result = _as_vector(graph.shape(graph.output))
        ends = [name for name, tensor in graph.names.items() if tensor == graph.output]
        self.end = free(END, graph.names) if softmax or not ends else ends[0]
        self.names = (*graph.names, *([self.end] if self.end not in graph.names else []))

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return self.result

    @property
    def last(self) -> str:
        """What gives the result."""
        return self.end

    @property
    def embedding(self) -> str:
        """What goes into the last product with weights."""
        return self.graph.embedding or self.end

    @property
    def rows(self) -> list[Row]:
        """One for each node, and one for the softmax."""
        found = [
            row._replace(shape=self.result) if row.name == self.end else row
            for row in self.graph.rows
        ]
        return [*found, *([Row(self.end, "softmax", self.result, 0, 0)] if self.softmax else [])]

    def node_of(self, name: str) -> Any:
        """Raise ValueError, naming the nearest, unless a node is called so."""
        if name not in self.names:
            near = nearest(name, self.names) or f"; it has {', '.join(self.names[:8])} ..."
            raise ValueError(f"no layer {name!r}{near}")


class OnnxRunner:
    """Runs the graph, with the outputs that are asked for.

    Parameters
    ----------
    model : onnx.ModelProto
    network : OnnxNetwork
    is_sure : bool
        Whether somebody said that a softmax is needed, or that it is not.
    """

    def __init__(self, model: Any, network: OnnxNetwork, is_sure: bool) -> None:
        self._model = model
        self._network = network
        self._graph = network.graph
        self._is_sure = is_sure
        self._session = cache(self._opened)

    @property
    def maker(self) -> str:
        """The program that wrote the file."""
        return str(self._model.producer_name)

    def run(self, x: Array, names: Sequence[str]) -> dict[str, Array]:
        """Run on one array and return what the named nodes give, by name."""
        self._network.check_input(x.shape)
        for name in names:
            self._network.node_of(name)
        tensors = {name: self._graph.names.get(name, self._graph.output) for name in names}
        given = self._given(x)
        with _sound():
            session = self._session(tuple(sorted(set(tensors.values()))))
            found = _run(session, list(tensors.values()), {self._graph.input: given})
        arranged = {
            name: self._arranged(name, self._graph.one(tensor, np.asarray(data)))
            for (name, tensor), data in zip(tensors.items(), found, strict=True)
        }
        self._check(arranged.get(self._network.end))
        return arranged

    def _check(self, result: Array | None) -> None:
        said = self._network.result
        if result is not None and said and 0 not in said and result.shape != said:
            raise ValueError(f"it gives {sizes(result.shape)}, and its file says {sizes(said)}")

    def _given(self, x: Array) -> Array:
        """Make of one image what the graph takes: its type, its layout, its batch."""
        first = next(one for one in self._model.graph.input if one.name == self._graph.input)
        kind = _TYPES[first.type.tensor_type.elem_type]
        if kind == np.uint8:
            x = np.clip(np.rint(x), 0, 255)
        if x.ndim == 3 and self._graph.is_first(self._graph.input):
            x = np.moveaxis(x, 2, 0)
        whole = np.broadcast_to(x, (self._graph.batch, *x.shape))
        return np.ascontiguousarray(whole, dtype=kind)

    def _opened(self, tensors: tuple[str, ...]) -> Any:
        """Open a session that gives these tensors."""
        onnx, runtime = extra("onnx", "onnx"), extra("onnxruntime", "onnx")
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        known = {one.name for one in model.graph.output}
        for tensor in tensors:
            if tensor not in known:
                model.graph.output.append(onnx.ValueInfoProto(name=tensor))
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        return runtime.InferenceSession(model.SerializeToString(), options)

    def _arranged(self, name: str, array: Array) -> Array:
        """Make a vector of the result, of probabilities."""
        if not array.size:
            raise ValueError(f"the layer {name} gives nothing for this image")
        if name == self._network.end:
            array = array.reshape(_as_vector(array.shape))
            if self._network.softmax and (self._is_sure or not _are_shares(array)):
                with np.errstate(all="ignore"):  # what is not finite shows in the results
                    array = softmax(array.astype(np.float64))
        return np.ascontiguousarray(array, dtype=np.float32)


def _are_shares(array: Array) -> bool:
    """Say whether a result has been through a softmax that the graph does not show as one."""
    return bool(array.min() >= 0 and abs(array.sum(dtype=np.float64) - 1) < _SLACK)


def _run(session: Any, tensors: list[str], given: Mapping[str, Array]) -> list[Any]:
    """Run in a thread: this one hears signals meanwhile, and a graph may have loops without end."""
    options = extra("onnxruntime", "onnx").RunOptions()
    options.log_severity_level = 4
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(session.run(tensors, given, options))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        options.terminate = True
        thread.join(_PATIENCE)  # what it raises needs an interpreter that is still there
        raise
    if isinstance(found[0], Exception):
        raise found[0]
    return list(found[0])


def load(path: Path) -> tuple[Description, OnnxRunner]:
    """Read an .onnx file and what stands beside it.

    Raises
    ------
    UsageError
        The packages of the extra `onnx` are not installed.
    ModelError
        A file that is none, or that does not say what goes in.
    """
    about = sidecar.read(path)
    try:
        network, runner = _read(_parsed(path), about)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error
    usual = {"name": path.stem, "title": runner.maker}
    if network.input[-1] == 1 and len(network.input) == 3:
        usual["channels"] = "gray"
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        found = described({**usual, **about}, network, sha256)
        if found.preprocessing:
            check_fits(found.preprocessing, network, 3 if found.channels == "RGB" else 1)
        return found, runner
    except ValueError as error:
        raise ModelError(f"{sidecar.place(path)}: {error}") from error


def identity(path: Path) -> str:
    """Return the sha256 of the file with the one beside it, if there is one."""
    found = hashlib.sha256(path.read_bytes())
    if sidecar.read(path):
        found.update(sidecar.place(path).read_bytes())
    return found.hexdigest()


@contextmanager
def _sound() -> Iterator[None]:
    """Make a ValueError of one line of what protobuf, onnx and onnxruntime raise."""
    try:
        yield
    except (UsageError, ValueError):
        raise
    except Exception as error:  # each has its own, with nothing above it
        reason = str(error).strip().splitlines()[0][:150] if str(error).strip() else "broken"
        raise ValueError(f"no sound ONNX model: {reason}") from error


def _parsed(path: Path) -> tuple[Any, Any]:
    """Return the model, and its graph with the shapes that onnx finds."""
    onnx = extra("onnx", "onnx")
    extra("onnxruntime", "onnx")
    with _sound():
        model = onnx.load(str(path), load_external_data=False)
        if any(one.data_location == onnx.TensorProto.EXTERNAL for one in model.graph.initializer):
            raise ValueError("its weights lie in other files: save it as one file with onnx.save")
        onnx.checker.check_model(model)
        return model, onnx.shape_inference.infer_shapes(model, data_prop=True).graph


def _read(parsed: tuple[Any, Any], about: Mapping[str, Any]) -> tuple[OnnxNetwork, OnnxRunner]:
    model, known = parsed
    graph = Graph(
        known, _input_of(model.graph), _output_of(model.graph, about), about.get("layout", "")
    )
    graph.check_sizes()
    softmax = about.get("softmax", not graph.gives_shares)
    network = OnnxNetwork(graph, _size(graph, about), softmax)
    runner = OnnxRunner(model, network, "softmax" in about)
    if not network.result or 0 in network.result:
        if 0 in network.input:
            raise ValueError("the size of its result is open: say 'input' in the .json beside it")
        found = runner.run(np.zeros(network.input, np.float32), [network.end])
        network.result = found[network.end].shape
    if softmax and math.prod(network.result) == 1:
        raise ValueError("it gives one value that is no probability: end it in a sigmoid")
    return network, runner


def _input_of(graph: Any) -> str:
    """Return the tensor that the image becomes; raises ValueError unless there is just one."""
    inner = {one.name for one in graph.initializer}
    found = [one for one in graph.input if one.name not in inner]
    if len(found) != 1:
        names = f": {', '.join(one.name for one in found)}" if found else ""
        raise ValueError(f"{len(found) or 'no'} inputs go into it, not one image{names}")
    kind = found[0].type.tensor_type.elem_type
    if kind not in _TYPES:
        raise ValueError("it takes no floats or bytes, and featcli gives those")
    return str(found[0].name)


def _output_of(graph: Any, about: Mapping[str, Any]) -> str:
    """Return the result that has the classes; raises ValueError where that is not said."""
    names = [one.name for one in graph.output]
    named = about.get("output", names[0])
    if named not in names:
        raise ValueError(f"it gives no {named!r}{nearest(named, names) or ': but ' + _list(names)}")
    if len(names) > 1 and "output" not in about:
        raise ValueError(
            f"it gives {len(names)} results: {_list(names)}; say which has the classes in the "
            '.json beside it, as {"output": NAME}'
        )
    kind = graph.output[names.index(named)].type
    if not kind.HasField("tensor_type"):
        raise ValueError(f"what it gives as {named!r} is no array of numbers")
    if kind.tensor_type.elem_type not in (*_TYPES, _INT8):
        raise ValueError(f"what it gives as {named!r} are no scores, such as floats")
    # What is quantised at the end is better taken before.
    makers = {node.output[0]: node for node in graph.node if node.op_type == "QuantizeLinear"}
    return str(makers[named].input[0] if named in makers else named)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")


def _size(graph: Graph, about: Mapping[str, Any]) -> Shape:
    """Return the shape of what goes in, channels last."""
    whole = graph.sizes.get(graph.input, [])
    first = next(one for one in graph.proto.input if one.name == graph.input)
    if any(n.HasField("dim_value") and n.dim_value < 1 for n in first.type.tensor_type.shape.dim):
        raise ValueError("its input is of no size: nothing fits into it")
    if len(whole) not in (2, 4):
        raise ValueError(
            f"its input is of {sizes(whole) or 'an unknown size'}: a batch of images has four "
            "sizes, one of vectors two"
        )
    shape = list(graph.shape(graph.input))
    found = about.get("input", shape)
    is_size = isinstance(found, list) and all(type(n) is int and 0 <= n < 10_000 for n in found)
    if not is_size or len(found) != len(shape):
        raise ValueError(f"input must be {len(shape)} whole numbers, not {found}")
    if any(n not in (m, 0) for n, m in zip(shape, found, strict=True)):
        raise ValueError(f"input is {sizes(found)}, and the network takes {sizes(shape)}")
    if math.prod(max(n, 1) for n in found) > LARGEST:
        raise ValueError(f"its input of {sizes(found)} is too large to be held")
    return tuple(found)


def _as_vector(shape: Shape) -> Shape:
    """Leave out sizes of 1 around the classes, as of (1, 1, classes)."""
    return (math.prod(shape),) if shape and math.prod(shape) == max(shape) else shape
