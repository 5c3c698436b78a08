"""Graphs of ONNX, made by hand, and what onnxruntime gives for them."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOAT = TensorProto.FLOAT
RANDOM = np.random.default_rng(0)


def write(name, nodes, given, results, weights=None):
    """Write a graph: nodes as (operator, inputs, output, attributes); they are called n0, n1 ..."""
    made = [
        helper.make_node(kind, inputs, [output], **{"name": f"n{number}", **more})
        for number, (kind, inputs, output, more) in enumerate(nodes)
    ]
    arrays = [numpy_helper.from_array(np.asarray(a), key) for key, a in (weights or {}).items()]
    graph = helper.make_graph(
        made,
        "test",
        [helper.make_tensor_value_info("x", given[0], given[1])],
        [helper.make_tensor_value_info(key, FLOAT, shape) for key, shape in results.items()],
        arrays,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, name)


def kernels(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def raw(name, x, *tensors):
    """What onnxruntime gives for tensors inside, as the graph has them."""
    model = onnx.load(name)
    known = {one.name for one in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=t) for t in tensors if t not in known)
    session = runtime.InferenceSession(model.SerializeToString())
    return session.run(list(tensors), {"x": x})
