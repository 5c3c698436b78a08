"""The same networks in PyTorch, with the same batches, optimizer, schedule and augmentation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from featcli.models.learning.augmentation import Augmentation
from featcli.models.learning.descent import rate_at
from featcli.models.learning.training import Recipe
from featcli.models.network import Network


def build(network: Network) -> nn.Sequential:
    """Translate a featcli network of convolutions, pools and dense layers."""
    layers: list[nn.Module] = []
    for node in network.nodes[:-1]:
        params: dict[str, Any] = dict(node.step.params)
        layers.append(_layer(node.step.stage, params, node))
    return nn.Sequential(*layers)


def _layer(kind: str, params: dict[str, Any], node: Any) -> nn.Module:
    if kind == "conv":
        size = params["size"]
        padding = size // 2 if params["padding"] == "same" else params["padding"]
        return nn.Conv2d(node.before[2], params["filters"], size, padding=padding)
    if kind == "dense":
        return nn.Linear(node.before[0], params["units"])
    if kind == "pool":
        return nn.MaxPool2d(params["size"])
    return {"relu": nn.ReLU, "flatten": nn.Flatten}[kind]()


def tensor(pixels: np.ndarray, mean: float, std: float, last: bool) -> torch.Tensor:
    """Return the images normalised, channels first; `last`: as memory has them in NHWC."""
    scaled = torch.from_numpy(((pixels.astype(np.float32) - mean) / std).transpose(0, 3, 1, 2))
    form = torch.channels_last if last else torch.contiguous_format
    return scaled.contiguous(memory_format=form)


def warped(images: torch.Tensor, how: Augmentation, random: torch.Generator) -> torch.Tensor:
    """Shift, turn, scale and flip by grid_sample, by as much as featcli does."""
    count, size = len(images), images.shape[-1]
    uniform = lambda: torch.rand(count, generator=random) * 2 - 1  # noqa: E731
    angle = uniform() * math.radians(how.rotate)
    scale = torch.exp(uniform() * math.log1p(how.scale))
    mirror = torch.where(torch.rand(count, generator=random) < 0.5 * how.flip, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = mirror * torch.cos(angle) / scale, torch.sin(angle) / scale
    theta[:, 1, 0], theta[:, 1, 1] = -mirror * torch.sin(angle) / scale, torch.cos(angle) / scale
    step = 2 * how.shift / size
    theta[:, 0, 2], theta[:, 1, 2] = uniform() * step, uniform() * step
    grid = nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


class Peer:
    """A network of PyTorch that goes through epochs as featcli's `Training` does."""

    def __init__(
        self, network: Network, recipe: Recipe, x: torch.Tensor, y: np.ndarray, last: bool
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.x, self.y = recipe, x, torch.from_numpy(y)
        form = torch.channels_last if last else torch.contiguous_format
        self.network = build(network).to(memory_format=form)
        groups = [
            {"params": [p for p in self.network.parameters() if p.ndim > 1],
             "weight_decay": recipe.weight_decay},
            {"params": [p for p in self.network.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ]  # fmt: skip
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.lr)
        self.random = torch.Generator().manual_seed(recipe.seed)
        self.epoch = 0

    def run_epoch(self, augmentation: Augmentation | None = None) -> float:
        """Learn from every image once; returns the mean loss."""
        order = torch.randperm(len(self.y), generator=self.random)
        size, total = self.recipe.batch_size, 0.0
        steps = math.ceil(len(order) / size)
        for number in range(steps):
            part = order[number * size : (number + 1) * size]
            images = self.x[part]
            if augmentation and augmentation != Augmentation():
                images = warped(images, augmentation, self.random)
            self._set_rate((self.epoch + number / steps) / self.recipe.epochs)
            total += self._step(images, self.y[part]) * len(part)
        self.epoch += 1
        return total / len(order)

    def begin_with(self, network: Network, weights: Mapping[str, np.ndarray]) -> None:
        """Take the weights of a network of featcli's."""
        with torch.no_grad():
            for node, layer in zip(network.nodes, self.network, strict=False):
                for kind, own in layer.named_parameters():
                    given = weights[f"{node.name}.{kind}"]
                    turned = given.transpose(3, 2, 0, 1) if given.ndim == 4 else given.T
                    own.copy_(torch.from_numpy(turned.copy()))

    def losses(self, batches: list[np.ndarray]) -> list[float]:
        """Learn from some batches, at the full rate; return the loss of each."""
        self._set_rate(0.0)
        return [self._step(self.x[part], self.y[part]) for part in map(torch.from_numpy, batches)]

    def _step(self, images: torch.Tensor, wanted: torch.Tensor) -> float:
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.network(images), wanted)
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def _set_rate(self, done: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.recipe.schedule, self.recipe.lr, min(done, 1.0))

    def accuracy(self, x: torch.Tensor, y: np.ndarray) -> float:
        with torch.inference_mode():
            guessed = torch.cat([self.network(part).argmax(1) for part in x.split(500)])
        return float((guessed.numpy() == y).mean())


def timed(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    begin = clock()
    run()
    return clock() - begin
