"""Every layer's way back, against numerical differentiation: twice as many runs, no calculus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featcli import ops
from featcli.models.learning.chain import Chain
from featcli.models.learning.loss import binary_cross_entropy, cross_entropy
from featcli.models.learning.starting import initial
from featcli.models.network import Network
from featcli.models.running import Runner

STEP = 1e-6


def chain_of(text, shape, images=3, seed=5):
    """A chain in float64 with weights that are nowhere zero, and a batch for it."""
    network = Network(text, shape)
    random = np.random.default_rng(seed)
    weights = {}
    for name, array in initial(network, 1).items():
        moved = array + random.normal(0, 0.1, array.shape)
        weights[name] = np.abs(moved) if name.endswith("variance") else moved
    batch = random.normal(size=laid_out(shape, images))
    return Chain(network.nodes, weights, np.float64), weights, batch


def laid_out(shape, images):
    return (shape[0], shape[2], shape[1], images) if len(shape) == 3 else (shape[0], images)


def assert_gradients(text, shape, probes=6):
    chain, weights, batch = chain_of(text, shape)
    random = np.random.default_rng(7)
    towards = random.normal(size=chain.forward(batch.copy(), True).shape)

    def value():
        return float((chain.forward(batch.copy(), True) * towards).sum())

    value()
    found = {name: array.copy() for name, array in chain.backward(towards.copy()).items()}
    for name, gradient in found.items():
        for _ in range(probes):
            place = tuple(random.integers(0, n) for n in gradient.shape)
            before = weights[name][place]
            ends = []
            for change in (STEP, -STEP):
                weights[name][place] = before + change
                ends.append(value())
            weights[name][place] = before
            numerical = (ends[0] - ends[1]) / (2 * STEP)
            np.testing.assert_allclose(gradient[place], numerical, rtol=2e-4, atol=1e-7,
                                       err_msg=f"{name}{place} of {text}")  # fmt: skip
    return found


# A layer with weights comes first, so that the gradient must pass back through what is tested.
FIRST = "conv 3 1 --name first"
LAYERS = [
    "conv 4 3",
    "conv 4 3x2 --padding 0 --activation tanh",
    "conv 4 2 --no-bias --activation sigmoid",
    "depthwise 3 --stride 2",
    "depthwise 2 --no-bias --dilation 2 --padding 1",
    "batch_norm",
    "batch_norm | conv 2 3 --no-bias | batch_norm --name again | relu",
    "relu",
    "relu6",
    "tanh",
    "sigmoid",
    "softmax",
    "abs",
    "relu | abs | relu",
    "sigmoid | relu",
    "pool 2",
    "pool 2 | relu",
    "pool 3 --stride 2 --ceil",
    "pool 3 --stride 1 --kind min",
    "pool 2 --kind mean",
    "pool 3 --stride 2 --kind mean --ceil",
    "pool --global",
    "pool --global --kind mean",
    "residual 3",
    "residual 5 --stride 2 | relu",
    "residual 3 --activation relu6 | residual 4",
    "inverted_residual 3 --expansion 2",
    "inverted_residual 4 --stride 2 --size 5 | relu",
    "inverted_residual 3 --expansion 1",
]


@pytest.mark.parametrize("text", LAYERS)
def test_the_way_back_is_that_of_numerical_differentiation(text):
    found = assert_gradients(f"{FIRST} | {text} | flatten | dense 2 --name last", (7, 6, 2))
    # Before a normalisation a bias changes nothing; everything else has a gradient.
    assert all(np.abs(array).max() > 1e-9 for name, array in found.items() if "bias" not in name)


@pytest.mark.parametrize("text", [
    "dense 4 --name first | relu | dense 3",
    "dense 4 --name first --no-bias --activation tanh | dense 3 --activation sigmoid",
    "dense 5 --name first | batch_norm | softmax | dense 2",
])  # fmt: skip
def test_so_it_is_for_vectors(text):
    assert_gradients(text, (6,))


@pytest.mark.parametrize("order", ["chw", "hwc"])
def test_flatten_gives_every_value_its_own_gradient(order):
    assert_gradients(f"{FIRST} | flatten --order {order} | dense 3", (4, 5, 2))


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    padding=st.sampled_from(["same", "0", "1", "3"]),
)
def test_a_convolution_of_a_batch_is_that_of_each_image_and_so_is_its_gradient(
    shape, kernel, stride, dilation, padding
):
    text = (
        f"conv 2 1 --name first | conv 3 {kernel[0]}x{kernel[1]} --stride {stride} "
        f"--dilation {dilation} --padding {padding} --name own"
    )
    try:
        network = Network(text, shape)
    except ValueError:
        return  # the kernel does not fit
    chain, weights, batch = chain_of(text, shape, images=2)
    found = chain.forward(batch.copy()).transpose(3, 0, 2, 1)
    images = batch.transpose(3, 0, 2, 1)
    first = ops.conv2d(images, weights["first.weight"], weights["first.bias"])
    pads = "same" if padding == "same" else int(padding)
    expected = ops.conv2d(
        first, weights["own.weight"], weights["own.bias"],
        stride=stride, dilation=dilation, padding=pads,
    )  # fmt: skip
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert found.shape[1:] == network.shape
    assert_gradients(text, shape, probes=2)


def test_a_chain_gives_what_the_model_will_give():
    text = (
        "conv 4 3 --stride 2 | relu6 | depthwise 3 | batch_norm | residual 4 | "
        "inverted_residual 6 --stride 2 | pool 2 --ceil | flatten | dense 5 --activation tanh | "
        "dense 3 | softmax"
    )
    network = Network(text, (15, 14, 3))
    weights = initial(network, 3)
    batch = np.random.default_rng(0).normal(size=(15, 3, 14, 4)).astype(np.float32)
    found = Chain(network.nodes, weights).forward(batch.copy())
    runner = Runner(network, weights)
    for number in range(4):
        image = batch[..., number].transpose(0, 2, 1)
        one = runner.run(image, ["softmax"])["softmax"]
        np.testing.assert_allclose(found[:, number], one, atol=1e-5)


@pytest.mark.parametrize(("loss", "classes"), [
    (cross_entropy, 4), (binary_cross_entropy, 4), (binary_cross_entropy, 1),
])  # fmt: skip
def test_the_gradient_of_a_loss(loss, classes):
    random = np.random.default_rng(0)
    scores = random.normal(0, 3, (classes, 5))
    wanted = random.integers(0, max(2, classes), 5)
    _, gradient = loss(scores, wanted)
    for place in np.ndindex(*scores.shape):
        ends = []
        for change in (STEP, -STEP):
            moved = scores.copy()
            moved[place] += change
            ends.append(loss(moved, wanted)[0])
        assert gradient[place] == pytest.approx((ends[0] - ends[1]) / (2 * STEP), abs=1e-6)


@pytest.mark.parametrize("loss", [cross_entropy, binary_cross_entropy])
def test_a_loss_of_huge_scores_is_finite(loss):
    scores = np.array([[1e4, -1e4], [-1e4, 1e4]], np.float32)
    for wanted, least in (([0, 1], 0), ([1, 0], 1e4)):
        found, gradient = loss(scores, np.array(wanted))
        assert np.isfinite(gradient).all()
        assert found >= least
        assert np.isfinite(found)


def test_cross_entropy_is_what_its_definition_says():
    scores = np.array([[0.2, 1.0], [-0.5, 2.0], [0.1, 0.0]])
    shares = np.exp(scores) / np.exp(scores).sum(axis=0)
    loss, gradient = cross_entropy(scores, np.array([2, 0]))
    assert loss == pytest.approx(-np.log(shares[2, 0]) - np.log(shares[0, 1]))
    np.testing.assert_allclose(gradient, shares - [[0, 1], [0, 0], [1, 0]])


def test_groups_that_cannot_be_trained_are_refused():
    network = Network("conv 4 3 --groups 2", (6, 6, 4))
    with pytest.raises(ValueError, match="in 2 groups cannot be trained"):
        Chain(network.nodes, initial(network, 0))


def test_gradients_of_another_batch_size_are_right_too():
    chain, _, batch = chain_of(f"{FIRST} | pool 2 | relu | flatten | dense 2", (6, 6, 2), 5)
    whole = {}
    for part in (batch[..., :3], batch[..., 3:], batch):
        scores = chain.forward(part.copy())
        found = chain.backward(np.ones_like(scores))
        for name, array in found.items():
            whole.setdefault(name, []).append(array.copy())
    for first, second, together in whole.values():
        np.testing.assert_allclose(first + second, together, atol=1e-12)
