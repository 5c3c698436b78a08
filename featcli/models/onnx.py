"""A model of another maker, as ONNX, run by onnxruntime (the extra `onnx`).

What an .onnx file does not say may stand in a JSON file beside it, of the same name: `name`,
`title`, `source`, `licence`, `citation`, `preprocessing` (a pipeline), `channels`, `range`,
`reduced_decoding`, `labels` and `ids`, as in featcli's own model files; and what is seen from the
graph where it is not said: `layout` ("chw" or "hwc"), `softmax` (true where the results are no
shares yet) and `input`, where the network leaves its size open.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from featcli.errors import UsageError
from featcli.extras import extra
from featcli.models.files import TEXTS, Description, ModelError, described
from featcli.models.layers import Shape
from featcli.models.network import Network, Row
from featcli.stage import nearest

Array = npt.NDArray[Any]
_LONGEST_SIDECAR = 1 << 22
_KNOWN = (
    *(name for name in TEXTS if name != "pipeline"),
    *("range", "reduced_decoding", "labels", "ids", "layout", "softmax", "input"),
)
_SHARES = frozenset({"Softmax", "Sigmoid"})
_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
_PASSING = frozenset({"Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze"})
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
END = "probabilities"


class OnnxNetwork(Network):
    """What is known of the graph: its nodes, with the shapes that onnx finds.

    A size of 0 in `input` is one that the network leaves open.
    """

    def __init__(self, graph: Any, shape: Shape, chw: bool) -> None:
        self.text, self.input, self.nodes = "", shape, ()
        self.result: Shape = ()
        self.tensors = {node.name or node.output[0]: node.output[0] for node in graph.node}
        self.names = (*self.tensors, END)
        numbers = {one.name: math.prod(one.dims) for one in graph.initializer}
        shapes = {one.name: _arranged_shape(one, chw) for one in (*graph.value_info, *graph.output)}
        self._rows = [_row(node, shapes.get(node.output[0], ()), numbers) for node in graph.node]

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return self.result

    @property
    def rows(self) -> list[Row]:
        """One for each node."""
        return self._rows

    def check_input(self, shape: Shape) -> None:
        """Raise ValueError unless the network takes an array of this shape."""
        wanted = self.input
        fits = (n == m or m == 0 for n, m in zip(shape, wanted, strict=False))
        if len(shape) != len(wanted) or not all(fits):
            raise ValueError(f"the network takes {sizes(wanted)}, not {sizes(shape)}")

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
    chw : bool
        Whether the graph has the channels before rows and columns.
    softmax : bool
        Whether the results are no shares yet.
    """

    def __init__(self, model: Any, network: OnnxNetwork, chw: bool, softmax: bool) -> None:
        self._model = model
        self._network = network
        self._chw, self._softmax = chw, softmax
        self._session = cache(self._opened)

    def run(self, x: Array, names: Sequence[str]) -> dict[str, Array]:
        """Run on one array and return what the named nodes give, by name."""
        wanted = self._network.input
        if x.ndim != len(wanted) or any(
            n not in (m, 0) for m, n in zip(x.shape, wanted, strict=True)
        ):
            raise ValueError(f"the network takes {sizes(wanted)}, not {sizes(x.shape)}")
        for name in names:
            self._network.node_of(name)
        session = self._session(tuple(sorted({n for n in names if n != END})))
        tensors = {name: self._network.tensors.get(name, self._last) for name in names}
        given = np.moveaxis(x, 2, 0) if x.ndim == 3 and self._chw else x
        first = session.get_inputs()[0]
        given = np.ascontiguousarray(given[np.newaxis], dtype=_TYPES[first.type])
        found = session.run(list(tensors.values()), {first.name: given})
        return {name: self._arranged(name, data) for name, data in zip(tensors, found, strict=True)}

    def result(self) -> Shape:
        """Return the shape of the result; 0 where it depends on what goes in.

        Raises
        ------
        ValueError
            The graph takes no floats.
        """
        session = self._session(())
        first, last = session.get_inputs()[0], session.get_outputs()[0]
        if first.type not in _TYPES:
            raise ValueError(f"it takes a {first.type}, and featcli gives floats")
        if min(self._network.input) > 0:
            return self.run(np.zeros(self._network.input, np.float32), [END])[END].shape
        return tuple(n if isinstance(n, int) else 0 for n in last.shape[1:])

    @property
    def _last(self) -> str:
        return str(self._model.graph.output[0].name)

    def _opened(self, names: tuple[str, ...]) -> Any:
        """Open a session that gives these nodes too."""
        onnx, runtime = extra("onnx", "onnx"), extra("onnxruntime", "onnx")
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        known = {one.name for one in model.graph.output}
        for tensor in {self._network.tensors[name] for name in names} - known:
            model.graph.output.append(onnx.ValueInfoProto(name=tensor))
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return runtime.InferenceSession(model.SerializeToString(), options)

    def _arranged(self, name: str, data: Any) -> Array:
        """Take the one image of the batch, with its channels last."""
        array: Array = np.asarray(data)[0] if np.ndim(data) > 1 else np.asarray(data)
        if array.ndim == 3 and self._chw:
            array = np.moveaxis(array, 0, 2)
        if name == END and self._softmax:
            powers = np.exp(array - array.max())
            array = powers / powers.sum()
        return np.ascontiguousarray(array, dtype=np.float32)


def load(path: Path) -> tuple[Description, OnnxRunner]:
    """Read an .onnx file and what stands beside it.

    Raises
    ------
    UsageError
        The packages of the extra `onnx` are not installed.
    ModelError
        A file that is none, or that does not say what goes in.
    """
    about = _sidecar(sidecar_of(path))
    try:
        model, network, runner = _read(path, about)
    except Exception as error:  # protobuf, onnx and onnxruntime have each their own
        if isinstance(error, UsageError):
            raise
        reason = str(error).strip().splitlines()[0][:150] if str(error).strip() else "broken"
        raise ModelError(f"{path}: no sound ONNX model: {reason}") from error
    usual = {"name": path.stem, "title": model.producer_name}
    if network.input[-1] == 1 and len(network.input) == 3:
        usual["channels"] = "gray"
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return described({**usual, **about}, network, sha256), runner
    except ValueError as error:
        raise ModelError(f"{sidecar_of(path)}: {error}") from error


def sidecar_of(path: Path) -> Path:
    """Return where that stands which the .onnx file does not say."""
    return path.with_suffix(".json")


def identity(path: Path) -> str:
    """Return the sha256 of the file with the one beside it, if there is one."""
    found = hashlib.sha256(path.read_bytes())
    if sidecar_of(path).is_file():
        found.update(sidecar_of(path).read_bytes())
    return found.hexdigest()


def sizes(shape: Sequence[int]) -> str:
    """Write a shape, with ? for what is left open."""
    return "x".join(str(n or "?") for n in shape)


def _read(path: Path, about: Mapping[str, Any]) -> tuple[Any, OnnxNetwork, OnnxRunner]:
    onnx = extra("onnx", "onnx")
    extra("onnxruntime", "onnx")
    model = onnx.load(str(path), load_external_data=False)
    if any(one.data_location == onnx.TensorProto.EXTERNAL for one in model.graph.initializer):
        raise ValueError("its weights lie in other files: save it as one file with onnx.save")
    onnx.checker.check_model(model)
    known = onnx.shape_inference.infer_shapes(model)
    given = _first(model.graph)
    chw = about.get("layout", _layout(given)) == "chw"
    network = OnnxNetwork(known.graph, _input(given, chw, about), chw)
    softmax = about.get("softmax", not _gives_shares(model.graph))
    runner = OnnxRunner(model, network, chw, softmax)
    network.result = runner.result()
    if softmax and math.prod(network.result) == 1:
        raise ValueError("it gives one value that is no probability: end it in a sigmoid")
    if 0 in network.result:
        raise ValueError("the size of its result is open: say 'input' in the .json beside it")
    return model, network, runner


def _sidecar(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _LONGEST_SIDECAR:
            raise ValueError("too long")
        record = json.loads(path.read_bytes())
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
        _check(record)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: {error}") from error
    return record


def _check(record: Mapping[str, Any]) -> None:
    """Raise ValueError for what a sidecar cannot say; `described` checks the rest."""
    for name in record:
        if name not in _KNOWN:
            near = nearest(name, _KNOWN) or f": it may have {', '.join(_KNOWN)}"
            raise ValueError(f"no ONNX model's sidecar says {name!r}{near}")
    if record.get("layout", "chw") not in ("chw", "hwc"):
        raise ValueError(f"layout must be chw or hwc, not {record['layout']!r}")
    if not isinstance(record.get("softmax", False), bool):
        raise ValueError(f"softmax must be true or false, not {record['softmax']!r}")


def _first(graph: Any) -> list[int]:
    """Return the shape of what goes in, as the graph has it; 0 where it is open."""
    inner = {one.name for one in graph.initializer}
    first = next((one for one in graph.input if one.name not in inner), None)
    if first is None:
        raise ValueError("nothing goes into it")
    return [one.dim_value for one in first.type.tensor_type.shape.dim][1:]


def _layout(sizes: Sequence[int]) -> str:
    is_last = len(sizes) == 3 and sizes[2] in (1, 3) and sizes[0] not in (1, 3)
    return "hwc" if is_last else "chw"


def _input(given: list[int], chw: bool, about: Mapping[str, Any]) -> Shape:
    """Return the shape of what goes in, channels last."""
    arranged = [*given[1:], given[0]] if len(given) == 3 and chw else given
    found = about.get("input", arranged)
    if (
        not isinstance(found, list)
        or len(found) not in (1, 3)
        or not all(isinstance(n, int) and 0 <= n < 10_000 for n in found)
    ):
        raise ValueError(f"its input has the shape {found}, which is no image's and no vector's")
    return tuple(found)


def _arranged_shape(one: Any, chw: bool) -> Shape:
    """Return the shape of a tensor without the batch, channels last; () if it is not known."""
    found = [size.dim_value for size in one.type.tensor_type.shape.dim][1:]
    if 0 in found:
        return ()
    return tuple([*found[1:], found[0]] if len(found) == 3 and chw else found)


def _row(node: Any, shape: Shape, numbers: Mapping[str, int]) -> Row:
    """Say of a node what is known; its multiply-adds where weights are moved over positions."""
    parameters = sum(numbers.get(name, 0) for name in node.input)
    macs = 0
    if node.op_type in _WEIGHTED and shape:
        macs = numbers.get(node.input[1], 0) * math.prod(shape[:-1])
    return Row(node.name or node.output[0], node.op_type, shape, parameters, macs)


def _gives_shares(graph: Any) -> bool:
    """Say whether a softmax or sigmoid ends the graph, but for what changes the shape alone."""
    makers = {name: node for node in graph.node for name in node.output}
    node = makers.get(graph.output[0].name)
    while node is not None and node.op_type in _PASSING:
        node = makers.get(node.input[0])
    return node is not None and node.op_type in _SHARES
