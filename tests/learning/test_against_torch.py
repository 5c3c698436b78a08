"""The same network, data and optimizer in PyTorch: where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from featcli.models.learning.augmentation import Augmentation
from featcli.models.learning.batches import Batch, Batches, Scale
from featcli.models.learning.descent import SGD, Adam
from featcli.models.learning.starting import initial
from featcli.models.network import Network
from featcli.models.operations._losses import binary_cross_entropy, cross_entropy

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")

LENET = (
    "conv 6 5 | relu | pool 2 | conv 16 5 --padding 0 | relu | pool 2 | flatten | "
    "dense 20 --name hidden | relu | dense 10 --name last"
)


class Examples:
    def __init__(self, count=48):
        random = np.random.default_rng(3)
        self.pixels = random.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
        self.classes = random.integers(0, 10, count)
        self.shape = (28, 28, 1)

    def take(self, indices):
        return self.pixels[indices]


def torch_lenet(weights):
    nn = torch.nn
    network = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5),
        nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 20), nn.ReLU(), nn.Linear(20, 10),
    )  # fmt: skip
    names = {0: "conv", 3: "conv2", 7: "hidden", 9: "last"}
    with torch.no_grad():
        for number, name in names.items():
            weight = weights[f"{name}.weight"]
            turned = weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight.T
            network[number].weight.copy_(torch.tensor(turned.copy()))
            network[number].bias.copy_(torch.tensor(weights[f"{name}.bias"]))
    return network, names


def torch_batch(examples, scale):
    x = (examples.pixels.astype(np.float32) - scale.mean) / scale.std
    return torch.tensor(x.transpose(0, 3, 1, 2).astype(np.float32).copy())


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_steps_are_those_of_torch(optimizer):
    network = Network(LENET, (28, 28, 1))
    weights, examples, scale = initial(network, 0), Examples(), Scale((128.0,), (64.0,))
    batches = Batches(network.nodes, weights, cross_entropy, examples, scale, Augmentation())
    other, names = torch_lenet(weights)
    if optimizer == "sgd":
        mine = SGD(weights, decay=0.01, momentum=0.9)
        theirs = torch.optim.SGD(
            [{"params": [p for p in other.parameters() if p.ndim > 1], "weight_decay": 0.01},
             {"params": [p for p in other.parameters() if p.ndim == 1]}],
            lr=0.01, momentum=0.9,
        )  # fmt: skip
    else:
        mine = Adam(weights, decay=0.01)
        theirs = torch.optim.AdamW(
            [{"params": [p for p in other.parameters() if p.ndim > 1], "weight_decay": 0.01},
             {"params": [p for p in other.parameters() if p.ndim == 1], "weight_decay": 0.0}],
            lr=0.01,
        )  # fmt: skip
    x, y = torch_batch(examples, scale), torch.tensor(examples.classes)
    for _ in range(4):
        result = batches.gradients(Batch(np.arange(48), np.zeros(48, np.uint64)))
        theirs.zero_grad()
        loss = torch.nn.functional.cross_entropy(other(x), y)
        loss.backward()
        assert result.loss / 48 == pytest.approx(loss.item(), rel=1e-4)
        for number, name in names.items():
            gradient = other[number].weight.grad.numpy()
            turned = gradient.transpose(2, 3, 1, 0) if gradient.ndim == 4 else gradient.T
            own = result.gradients[f"{name}.weight"]
            np.testing.assert_allclose(own, turned, atol=2e-4 * np.abs(turned).max())
        mine.step(result.gradients, 0.01)
        theirs.step()


def test_the_binary_loss_is_that_of_torch():
    random = np.random.default_rng(1)
    scores, wanted = random.normal(0, 4, (1, 9)), random.integers(0, 2, 9)
    loss, _ = binary_cross_entropy(scores, wanted)
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(scores[0]), torch.tensor(wanted, dtype=torch.float64), reduction="sum"
    )
    assert loss == pytest.approx(theirs.item())


def test_a_normalised_batch_is_that_of_torch():
    network = Network("batch_norm --name n", (5, 4, 3))
    weights = initial(network, 0)
    weights["n.scale"] += [0.5, 1.0, 2.0]
    from featcli.models.learning.chain import Chain

    x = np.random.default_rng(2).normal(3, 2, (5, 3, 4, 6)).astype(np.float32)
    other = torch.nn.BatchNorm2d(3)
    with torch.no_grad():
        other.weight.copy_(torch.tensor(weights["n.scale"]))
    given = torch.tensor(x.transpose(3, 1, 0, 2).copy())
    theirs = other(given).detach().numpy().transpose(2, 1, 3, 0)
    mine = Chain(network.nodes, weights).forward(x, np.zeros(6, np.uint64))
    np.testing.assert_allclose(mine, theirs, atol=1e-4)
    for name, running in (("mean", other.running_mean), ("variance", other.running_var)):
        np.testing.assert_allclose(weights[f"n.{name}"], running.numpy(), rtol=1e-4)
