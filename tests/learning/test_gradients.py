"""Convolutions of every geometry, whole chains and losses: forward, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
from gradients import STEP, assert_gradients, batch_for, laid_out, numbers
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from featcli import ops
from featcli.models.learning.chain import Chain
from featcli.models.learning.starting import initial
from featcli.models.network import Network
from featcli.models.operations import conv
from featcli.models.operations._columns import Geometry
from featcli.models.operations._losses import binary_cross_entropy, cross_entropy
from featcli.models.operations.base import Buffers
from featcli.models.running import Runner


def chain_of(text, shape, images=3):
    """A chain in float64, its weights and a batch for it."""
    network = Network(text, shape)
    weights = numbers(network)
    return Chain(network.nodes, weights, np.float64), weights, laid_out(batch_for(shape, images))


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
    found = chain.forward(batch).transpose(3, 0, 2, 1)
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


def test_gradients_of_another_batch_size_are_right_too():
    chain, _, batch = chain_of("conv 3 1 | pool 2 | relu | flatten | dense 2", (6, 6, 2), 5)
    whole = {}
    for part in (batch[..., :3], batch[..., 3:], batch):
        scores = chain.forward(part.copy())
        found = chain.backward(np.ones_like(scores))
        for name, array in found.items():
            whole.setdefault(name, []).append(array.copy())
    for first, second, together in whole.values():
        np.testing.assert_allclose(first + second, together, atol=1e-12)


@given(
    before=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    seed=st.integers(0, 99),
)
def test_both_ways_to_the_input_of_a_convolution_give_the_same_gradient(
    before, kernel, stride, dilation, padding, seed
):
    reach = [(k - 1) * dilation + 1 for k in kernel]
    after = tuple((n + sum(padding) - k) // stride + 1 for n, k in zip(before, reach, strict=True))
    assume(min(after) >= 1)
    rng = np.random.default_rng(seed)
    geometry = Geometry(before, after, kernel, stride, dilation, (padding, padding))
    weight = rng.normal(size=(*kernel, 2, 3))
    trained = conv._Trained(geometry, {"weight": weight}, Buffers("float64"))
    dy = rng.normal(size=(after[0], 3, after[1], 2))
    gathered = trained._gathered(dy).copy()
    np.testing.assert_allclose(trained._scattered(dy), gathered, atol=1e-12)
