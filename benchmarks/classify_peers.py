"""What `classify.py` compares with: the shipped network in ONNX and in PyTorch, and scripts."""

from __future__ import annotations

import numpy as np

from featcli.models.model import Model
from featcli.models.network import Placed
from featcli.models.operations.conv import Conv
from featcli.models.operations.joining import Add

ORT_SCRIPT = """
import sys, numpy as np, onnxruntime as ort
from concurrent.futures import ThreadPoolExecutor
from PIL import Image
paths, workers = sys.argv[3:], int(sys.argv[2])
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options)
def best(path):
    with Image.open(path) as image:
        image = image.convert("RGB")
        short = min(image.size)
        image = image.resize([256 * n // short for n in image.size], Image.Resampling.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    x = (np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) - 127) / 128
    return session.run(None, {"input": x.transpose(2, 0, 1)[None]})[0][0].argmax()
with ThreadPoolExecutor(workers) as pool:
    for path, label in zip(paths, pool.map(best, paths)):
        print(path, label)
"""

TORCH_SCRIPT = """
import sys, numpy as np, torch
from PIL import Image
torch.set_num_threads(1)
network = torch.jit.load(sys.argv[1])
with Image.open(sys.argv[3]) as image:
    image = image.convert("RGB")
    short = min(image.size)
    image = image.resize([256 * n // short for n in image.size], Image.Resampling.BICUBIC)
left, top = (image.width - 224) // 2, (image.height - 224) // 2
x = (np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) - 127) / 128
with torch.inference_mode():
    print(network(torch.from_numpy(x.transpose(2, 0, 1)[None])).argmax())
"""


def torch_network(model: Model) -> object:
    """Build the network of PyTorch's modules."""
    import torch
    from torch import nn

    class Same(nn.Module):
        def __init__(self, conv: nn.Conv2d) -> None:
            super().__init__()
            self.conv = conv

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            k, s, n = self.conv.kernel_size[0], self.conv.stride[0], x.shape[2]
            total = max((-(-n // s) - 1) * s + k - n, 0)
            pads = (total // 2, total - total // 2) * 2
            return self.conv(nn.functional.pad(x, pads))

    class Skip(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.inner(x)

    def conv(placed: Placed) -> list[nn.Module]:
        name, one = placed.name, placed.operation
        assert isinstance(one, Conv)
        weight = torch.from_numpy(
            np.moveaxis(model.weights[f"{name}.weight"], (3, 2), (0, 1)).copy()
        )
        stride, groups = one.stride, one.groups
        size, c_in = weight.shape[2], weight.shape[1] * groups
        padding = size // 2 if stride == 1 else 0
        made = nn.Conv2d(c_in, weight.shape[0], size, stride, padding, 1, groups)
        made.weight.data, made.bias.data = weight, torch.from_numpy(model.weights[f"{name}.bias"])
        found: list[nn.Module] = [made if stride == 1 else Same(made)]
        return found + ([nn.ReLU6(inplace=True)] if placed.activation else [])

    parts: list[nn.Module] = []
    for node in model.description.network.nodes:
        own = node.operations
        inner = [m for one in own if isinstance(one.operation, Conv) for m in conv(one)]
        if isinstance(own[-1].operation, Add):
            inner = [Skip(nn.Sequential(*inner))]
        parts += inner
    dense = nn.Linear(1280, 1000)
    dense.weight.data = torch.from_numpy(model.weights["logits.weight"].T.copy())
    dense.bias.data = torch.from_numpy(model.weights["logits.bias"])
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense]
    return nn.Sequential(*parts).eval()
