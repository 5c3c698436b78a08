"""Laws that every operation of a network fulfils, whoever adds it: the registry lists them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from gradients import as_images, assert_gradients, batch_for, laid_out, numbers
from operation_cases import LAYERS, cases
from rules import cell

from featcli.models import files
from featcli.models.exporting import to_onnx
from featcli.models.learning.chain import Chain
from featcli.models.loading import load_model
from featcli.models.model import Model
from featcli.models.network import Network
from featcli.models.running import Runner
from featcli.trace import Opaque

DRAWS = np.array([1, 2, 3], np.uint64)

every = pytest.mark.parametrize("name", LAYERS)


@every
@pytest.mark.parametrize("draws", [DRAWS, None], ids=["learning", "finished"])
def test_the_gradients_are_those_of_numerical_differentiation(name, draws):
    for text, shape in cases(name):
        assert_gradients(text, shape, draws)


@every
def test_a_batch_in_training_gives_what_the_finished_model_gives(name):
    for text, shape in cases(name):
        network = Network(text, shape)
        weights, images = numbers(network, np.float32), batch_for(shape, dtype=np.float32)
        found = as_images(Chain(network.nodes, weights).forward(laid_out(images)))
        runner = Runner(network, weights)
        for image, result in zip(images, found, strict=True):
            one = runner.run(image, ["tested"])["tested"]
            np.testing.assert_allclose(result, one, atol=2e-5, err_msg=text)


@every
def test_its_shape_is_that_of_what_it_computes(name):
    for text, shape in cases(name):
        network = Network(text, shape)
        values = Runner(network, numbers(network, np.float32)).every(
            batch_for(shape, 1, np.float32)[0]
        )
        for one in network.operations:
            assert values[one.name].shape == one.operation.shape, text
            assert values[one.name].dtype == np.float32, text


@every
def test_the_rule_that_is_shown_gives_each_cell_again(name):
    random = np.random.default_rng(3)
    for text, shape in cases(name):
        network = Network(text, shape)
        weights = numbers(network, np.float32)
        values = Runner(network, weights).every(batch_for(shape, 1, np.float32)[0])
        for one in network.operations:
            own, inputs = one.weights(weights), [values[k] for k in one.inputs]
            plain = one.operation.ready(own)(*inputs)
            rules = [(one.operation.rule(own, inputs, plain), inputs, plain)]
            if one.activation:
                after = values[one.name]
                rules.append((one.activation.rule({}, [plain], after), [plain], after))
            for rule, given, result in rules:
                assert not isinstance(rule, Opaque)
                for _ in range(30):
                    place = tuple(int(random.integers(0, n)) for n in result.shape)
                    np.testing.assert_allclose(
                        result[place], cell(rule, given, place), rtol=1e-4, atol=1e-5, err_msg=text
                    )


@every
def test_a_model_file_gives_back_what_was_written(name, tmp_path):
    for text, shape in cases(name, 3):
        network = Network(text, shape)
        weights, image = numbers(network, np.float32), batch_for(shape, 1, np.float32)[0]
        stream = io.BytesIO()
        files.save(stream, {"name": "m", "pipeline": text, "input": list(shape)}, weights)
        (tmp_path / "m.npz").write_bytes(stream.getvalue())
        found, read = files.load(tmp_path / "m.npz")
        first, again = (
            Runner(a, b).run(image, ["tested"])["tested"]
            for a, b in ((network, weights), (found.network, read))
        )
        np.testing.assert_array_equal(first, again)


@every
def test_its_text_says_what_it_is_and_its_parameters_are_explained(name):
    from featcli.models import operations

    stage = operations.find(name)
    assert stage.doc["Summary"]
    shared = stage.doc.get("Parameters", "")
    for param in stage.params:
        assert param.help or param.name in shared, param.name


@every
def test_onnxruntime_gives_the_same_for_what_is_exported(name, tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    for text, shape in cases(name):
        network = Network(text, shape)
        weights, image = numbers(network, np.float32), batch_for(shape, 1, np.float32)[0]
        model = Model(files.described({"name": "m"}, network, ""), weights)
        (tmp_path / "m.onnx").write_bytes(to_onnx(model))
        again = load_model(tmp_path / "m.onnx")
        for layer in ("first", network.node_of("tested").last):
            wanted = model.run(image, layer)
            found = again.run(image, layer).reshape(wanted.shape)  # of 1x1xN it makes a vector
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4, err_msg=text)
