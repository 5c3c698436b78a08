"""Gradients against numerical differentiation: twice as many runs, no calculus."""

from __future__ import annotations

import numpy as np

from featcli.models.learning.chain import Chain
from featcli.models.learning.starting import initial
from featcli.models.network import Network

STEP = 1e-6


def numbers(network: Network, dtype=np.float64) -> dict[str, np.ndarray]:
    """Weights that are nowhere zero."""
    random = np.random.default_rng(5)
    return {
        name: (np.abs if network.parameters[name].positive else np.asarray)(
            array + random.normal(0, 0.1, array.shape)
        ).astype(dtype)
        for name, array in initial(network, 1).items()
    }


def laid_out(images: np.ndarray) -> np.ndarray:
    """A batch (images, ...) as it is trained on."""
    return np.ascontiguousarray(images.transpose((1, 3, 2, 0) if images.ndim == 4 else (1, 0)))


def as_images(batch: np.ndarray) -> np.ndarray:
    return batch.transpose((3, 0, 2, 1) if batch.ndim == 4 else (1, 0))


def batch_for(shape, images=3, dtype=np.float64) -> np.ndarray:
    return np.random.default_rng(9).normal(0, 3, (images, *shape)).astype(dtype)


def slope(value, array, place) -> float:
    """How `value` changes as one number of an array is moved a little both ways."""
    before, ends = array[place], []
    for change in (STEP, -STEP):
        array[place] = before + change
        ends.append(value())
    array[place] = before
    return (ends[0] - ends[1]) / (2 * STEP)


def assert_gradients(text: str, shape: tuple[int, ...], draws=None, probes: int = 6) -> None:
    """Check some numbers of every weight's gradient, and of the input's."""
    network = Network(text, shape)
    weights, batch = numbers(network), laid_out(batch_for(shape))
    statistics = {n: weights[n].copy() for n, p in network.parameters.items() if not p.trained}
    chain = Chain(network.nodes, weights, np.float64)
    random = np.random.default_rng(7)
    towards = random.normal(size=laid_out(np.empty((3, *network.shape))).shape)

    def value():
        for one, array in statistics.items():
            weights[one][...] = array
        return float((chain.forward(batch, draws) * towards).sum())

    value()
    found = {one: array.copy() for one, array in chain.backward(towards.copy()).items()}
    assert set(found) == {one for one, p in network.parameters.items() if p.trained}
    value()
    found[""] = chain.input_grad(towards.copy()).copy()
    assert found[""].shape == batch.shape
    for one, gradient in found.items():
        for _ in range(probes):
            place = tuple(random.integers(0, n) for n in gradient.shape)
            wanted = slope(value, weights[one] if one else batch, place)
            np.testing.assert_allclose(gradient[place], wanted, rtol=2e-4, atol=1e-6,
                                       err_msg=f"{one or 'input'}{place} of {text}")  # fmt: skip
