"""A model of another maker, as ONNX, run by onnxruntime (the extra `onnx`).

What an .onnx file does not say stands in a JSON file beside it, of the same name: `preprocessing`
(a pipeline), `channels`, `range`, `labels`, `ids`, as in featcli's own model files; `layout`
("chw", the default, or "hwc"), `softmax` (true where the network ends with logits), and `input`
where the network leaves its size open.
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

from featcli.extras import extra
from featcli.models.files import Description, ModelError, described
from featcli.models.layers import Shape
from featcli.models.network import Network, Row
from featcli.stage import nearest

Array = npt.NDArray[Any]
_LONGEST_SIDECAR = 1 << 22
END = "probabilities"


class OnnxNetwork(Network):
    """What is known of the graph: its nodes, without their shapes."""

    def __init__(self, graph: Any, shape: Shape, result: Shape) -> None:
        self.text, self.input, self.nodes = "", shape, ()
        self._result = result
        self.tensors = {node.name or node.output[0]: node.output[0] for node in graph.node}
        self.names = (*self.tensors, END)
        sizes = {one.name: math.prod(one.dims) for one in graph.initializer}
        self._rows = [
            Row(
                node.name or node.output[0],
                node.op_type,
                (),
                sum(sizes.get(i, 0) for i in node.input),
                0,
            )
            for node in graph.node
        ]

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return self._result

    @property
    def rows(self) -> list[Row]:
        """One for each node."""
        return self._rows

    def node_of(self, name: str) -> Any:
        """Raise ValueError, naming the nearest, unless a node is called so."""
        if name not in self.names:
            near = nearest(name, self.names) or f"; it has {', '.join(self.names[:8])} ..."
            raise ValueError(f"no layer {name!r}{near}")


class OnnxRunner:
    """Runs the graph, with the outputs that are asked for."""

    def __init__(self, path: Path, network: OnnxNetwork, about: Mapping[str, Any]) -> None:
        self._path = path
        self._network = network
        self._chw = about.get("layout", "chw") == "chw"
        self._softmax = bool(about.get("softmax", False))
        self._session = cache(self._opened)

    def run(self, x: Array, names: Sequence[str]) -> dict[str, Array]:
        """Run on one array and return what the named nodes give, by name."""
        if x.shape != self._network.input:
            raise ValueError(f"the network takes {self._network.input}, not {x.shape}")
        for name in names:
            self._network.node_of(name)
        session, last = self._session(tuple(sorted({n for n in names if n != END})))
        tensors = {name: self._network.tensors.get(name, last) for name in names}
        given = np.moveaxis(x, 2, 0) if x.ndim == 3 and self._chw else x
        given = np.ascontiguousarray(given[np.newaxis], dtype=np.float32)
        found = session.run(list(tensors.values()), {session.get_inputs()[0].name: given})
        return {name: self._arranged(name, data) for name, data in zip(tensors, found, strict=True)}

    def _opened(self, names: tuple[str, ...]) -> tuple[Any, str]:
        """Open a session that gives these nodes too, and the name of its last tensor."""
        onnx, runtime = extra("onnx", "onnx"), extra("onnxruntime", "onnx")
        model = onnx.load(str(self._path), load_external_data=False)
        last = model.graph.output[0].name
        known = {one.name for one in model.graph.output}
        for tensor in {self._network.tensors[name] for name in names} - known:
            model.graph.output.append(onnx.ValueInfoProto(name=tensor))
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return runtime.InferenceSession(model.SerializeToString(), options), last

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
    onnx = extra("onnx", "onnx")
    extra("onnxruntime", "onnx")
    about = _sidecar(path.with_suffix(".json"))
    try:
        model = onnx.load(str(path), load_external_data=False)
        onnx.checker.check_model(model)
        network = OnnxNetwork(model.graph, _input(model.graph, about), _result(model.graph))
        record = {"name": path.stem, "title": model.producer_name, "pipeline": "-", **about}
        found = described(record, network, hashlib.sha256(path.read_bytes()).hexdigest())
        runner = OnnxRunner(path, network, about)
        runner.run(np.zeros(network.input, np.float32), [END])
    except Exception as error:  # protobuf, onnx and onnxruntime have each their own
        reason = str(error).strip().splitlines()[0][:150] if str(error).strip() else "broken"
        raise ModelError(f"{path}: no sound ONNX model: {reason}") from error
    return found, runner


def _sidecar(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _LONGEST_SIDECAR:
            raise ValueError("too long")
        record = json.loads(path.read_bytes())
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: {error}") from error
    return record


def _input(graph: Any, about: Mapping[str, Any]) -> Shape:
    """Return the shape of what goes in, channels last."""
    inner = {one.name for one in graph.initializer}
    first = next(one for one in graph.input if one.name not in inner)
    sizes = [one.dim_value for one in first.type.tensor_type.shape.dim][1:]
    if len(sizes) == 3 and about.get("layout", "chw") == "chw":
        sizes = [*sizes[1:], sizes[0]]
    given = about.get("input", sizes)
    if len(given) not in (1, 3) or not all(isinstance(n, int) and 0 < n < 10_000 for n in given):
        raise ValueError(f"its input has the shape {sizes}: say 'input' in the .json beside it")
    return tuple(given)


def _result(graph: Any) -> Shape:
    sizes = [one.dim_value for one in graph.output[0].type.tensor_type.shape.dim][1:]
    return tuple(sizes)
