"""The smallest network: nine pixels to 0 or 1, as a model like any other."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import assert_refused

import featcli as api


def test_it_tells_the_one_from_the_zero(samples):
    model = api.load_model("zero-one")
    for name, digit in (("one.png", "1"), ("zero.png", "0")):
        found = model(api.read(samples / name, unit=True))
        assert found.labels[found.data.argmax()] == digit
        assert found.data.max() > 0.9


def test_it_takes_the_nine_values_of_a_picture_as_a_vector():
    model = api.load_model("zero-one")
    bar = np.array([[0, 1, 0], [0, 1, 0], [0, 1, 0]], np.float32)
    as_vector, as_picture = model(bar.ravel()), model(bar)
    np.testing.assert_array_equal(as_vector.data, as_picture.data)
    by_hand = 1 / (
        1 + np.exp(-(bar.ravel() @ model.weights["hidden.weight"] + model.weights["hidden.bias"]))
    )
    np.testing.assert_allclose(model.run(bar.ravel(), "hidden"), by_hand, rtol=1e-5)


def test_a_vector_of_another_length_is_refused():
    with pytest.raises(ValueError, match="takes a vector of 9 values"):
        api.load_model("zero-one")(np.ones(8))


def test_a_vector_through_a_pipe_is_classified(workspace, inline):
    steps = "resize 6x6 --filter nearest | pool 2 | flatten"
    vector = inline("run", steps, "one.png", "-o", "-", binary=True)
    done = inline("classify", "--model", "zero-one", "--no-files", stdin=vector.stdout)
    assert json.loads(done.stdout)["top"][0]["label"] == "1"


def test_the_command_reads_black_and_white_as_zero_and_one(workspace, inline):
    done = inline("classify", "one.png", "zero.png", "--model", "zero-one", "--no-files")
    found = [json.loads(line)["top"][0]["label"] for line in done.stdout.splitlines()]
    assert found == ["1", "0"]


def test_a_vector_is_nothing_for_a_model_of_images(workspace, inline):
    inline("flatten", "gray.png", "-o", "v.npy")
    assert_refused(
        inline("classify", "v.npy", "--no-files"), 1, "takes an image, not an array of shape (48,)"
    )


def test_its_script_makes_the_same_weights_again(monkeypatch):
    from pathlib import Path

    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "tools"))
    import make_zero_one

    for name, array in make_zero_one.train().items():
        np.testing.assert_allclose(api.load_model("zero-one").weights[name], array, atol=2e-3)
