"""Export of featcli's models as ONNX."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from featcli.extras import extra
from featcli.models.files import TEXTS
from featcli.models.model import Model
from featcli.models.network import Placed
from featcli.models.operations import Shape

OPSET, IR = 17, 8  # from 2022: programs that read ONNX support them
INPUT = "input"
METADATA = "featcli"
_FLOAT = 1  # TensorProto.FLOAT


def to_onnx(model: Model) -> bytes:
    """Return a model as ONNX, with its labels and preprocessing in the metadata.

    The input is called `input`: (batch, channels, rows, cols) or (batch, n), preprocessed as the
    metadata describe; the result has the name of the last layer. Nodes and their results have the
    names of the layers.

    Parameters
    ----------
    model : Model
        A model that consists of featcli's layers.

    Returns
    -------
    bytes
        The content of an .onnx file; checked by `onnx.checker`.

    Raises
    ------
    ValueError
        The model is ONNX already, or has an operation that ONNX does not have.
    UsageError
        The extra `onnx` is not installed.
    """
    made = graph_of(model)
    extra("onnx", "onnx").checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString(deterministic=True))


def graph_of(model: Model) -> Any:
    """Return a model as an unchecked `onnx.ModelProto`; see `to_onnx`."""
    onnx = extra("onnx", "onnx")
    network = model.description.network
    if not network.operations:
        raise ValueError(f"the model {model.name} is ONNX already")
    writer = _Writer(onnx)
    for one in network.operations:
        writer.add(one, model)
    ends = ((INPUT, network.input), (writer.names[network.operations[-1].name], network.shape))
    given, result = (
        onnx.helper.make_tensor_value_info(name, _FLOAT, _batch(shape)) for name, shape in ends
    )
    graph = onnx.helper.make_graph(writer.nodes, model.name, [given], [result], writer.constants)
    made = onnx.helper.make_model(
        graph, producer_name="featcli", opset_imports=[onnx.helper.make_opsetid("", OPSET)]
    )
    made.ir_version = IR
    onnx.helper.set_model_props(made, {METADATA: json.dumps(_about(model))})
    return made


def tensor_of(name: str) -> str:
    """Return the name in the graph of a layer's result."""
    return f"{name}_layer" if name == INPUT else name


def _batch(shape: Shape) -> list[str | int]:
    """Return the sizes of a batch with any number of images, channels first."""
    return ["batch", *((shape[2], *shape[:2]) if len(shape) == 3 else shape)]


def _about(model: Model) -> dict[str, Any]:
    """Return the metadata, in the form of a sidecar file."""
    found = model.description
    texts = {name: getattr(found, name, "") for name in TEXTS if name != "pipeline"}
    about: dict[str, Any] = {name: str(text) for name, text in texts.items() if text}
    about |= {"range": found.range, "softmax": False}
    about |= {"layout": "chw"} if len(found.network.input) == 3 else {}
    lists = {"labels": list(found.labels), "ids": list(found.ids)}
    return about | {name: names for name, names in lists.items() if names}


class _Writer:
    """The nodes and constants so far; see `featcli.models.operations.base.Graph`."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self._scope = ""
        self._counts: dict[str, int] = {}
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.names = {"": INPUT}

    def add(self, one: Placed, model: Model) -> None:
        """Add an operation and its activation; the result gets the operation's name."""
        self._scope = one.name
        inputs = [self.names[name] for name in one.inputs]
        found = one.operation.to_onnx(self, inputs, one.weights(model.weights))
        if one.activation:
            found = one.activation.to_onnx(self, [found], {})
        last = self.nodes[-1]
        if found not in last.output or found == INPUT:
            raise ValueError(f"{one.name}: its ONNX operators do not end in a node")
        last.name = last.output[0] = self.names[one.name] = tensor_of(one.name)

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node; return the name of its result."""
        name = self._named(kind)
        helper = self._onnx.helper
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: npt.ArrayLike) -> str:
        """Add a constant array; return its name."""
        whole = self._named(name)
        values = np.ascontiguousarray(array, dtype=np.float32)
        shaped = values.reshape(np.shape(array))  # ascontiguousarray makes scalars 1-D
        self.constants.append(self._onnx.numpy_helper.from_array(shaped, whole))
        return whole

    def _named(self, name: str) -> str:
        whole = f"{self._scope}/{name}"
        count = self._counts[whole] = self._counts.get(whole, 0) + 1
        return whole if count == 1 else f"{whole}{count}"
