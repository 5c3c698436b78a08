"""What the pages are tested on: pipelines and networks with every rule, and their pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import featcli
from featcli.frame import Frame, Source
from featcli.models import files
from featcli.models.attribution import with_heats
from featcli.models.model import Model
from featcli.models.network import Network
from featcli.models.tracing import trace_model, trace_pipeline
from featcli.pipeline import Pipeline
from featcli.trace import Trace
from featcli.view.explain.page import page
from featcli.view.explain.selection import Selection, select

SAMPLES = Path(__file__).resolve().parents[2] / "samples"

# Every stage, and every option that changes which cells a cell comes from.
PIPELINES = {
    "article": "convolve vertical | relu | pool 2 | flatten | softmax",
    "kernels": "convolve sobel-x gaussian5 --border mirror | abs | pool 3 --stride 1 --kind mean",
    "strides": "convolve log5 --stride 2 --dilation 2 --border wrap | relu6 | flatten --order hwc",
    "gray": "gray | normalize 100 50 | convolve 'box:3' --padding valid | sigmoid | pool 2 --ceil",
    "parts": "resize 12 | crop 5x6 | split-channels | convolve '1 2; 3 4' --flip --border constant",
    "even": "convolve '1 2 3; 4 5 6' --border nearest | normalize 1,2,3 4,5,6 | tanh | softmax",
    "means": "convolve outline | pool --global --kind mean | flatten | softmax",
    "least": "pool 3 --stride 2 --kind min --ceil | softmax",
    "dense": "flatten | dense {weights} | softmax",
}

# Every learned layer, and every option of it.
NETWORK = (
    "conv 6 3x2 --stride 2 --padding 1 --activation relu | batch_norm | "
    "conv 4 3 --groups 2 --dilation 2 --no-bias | depthwise 3 --activation tanh | "
    "inverted_residual 4 --expansion 2 | inverted_residual 6 --stride 2 --expansion 1 | "
    "residual 6 | residual 8 --stride 2 --activation relu6 --name end | layer_norm | sigmoid | "
    "concat end | pool 2 --ceil --kind mean | flatten | dropout | dense 5 --activation relu "
    "--name five | batch_norm | add five --activation tanh | concat five | layer_norm | "
    "dense 4 --activation softmax --name out"
)


@dataclass(frozen=True)
class Subject:
    """A trace, what of it is on the page, and the page."""

    trace: Trace
    selection: Selection
    path: Path


def picture(rows: int = 6, cols: int = 8) -> Frame:
    data = np.random.default_rng(7).integers(0, 256, (rows, cols, 3), np.uint8)
    return Frame(data, ("R", "G", "B"), Source("small", "small.png"))


def network(text: str = NETWORK, shape: tuple[int, ...] = (20, 16, 3), **record: object) -> Model:
    """A model with random numbers."""
    random = np.random.default_rng(3)
    weights = {
        name: random.uniform(0.2, 1, size).astype(np.float32)
        if name.endswith("variance")
        else random.normal(0, 0.5, size).astype(np.float32)
        for name, size in Network(text, shape).weights.items()
    }
    about = {"name": "random", **record}
    return Model(files.described(about, Network(text, shape), "0" * 64), weights)


def saved(path: Path, trace: Trace, most: int | None = None) -> Subject:
    path.write_text(page(trace, most), "utf-8")
    return Subject(trace, select(trace, most), path)


def subjects(folder: Path) -> dict[str, Subject]:
    """Return all small subjects by name."""
    weights = folder / "weights.npz"
    random = np.random.default_rng(1)
    np.savez(weights, weight=random.normal(size=(144, 3)) / 100, bias=random.normal(size=3))
    found = {}
    for name, text in PIPELINES.items():
        trace = trace_pipeline(Pipeline(text.format(weights=weights)), picture())
        found[name] = saved(folder / f"{name}.html", trace)
    model = network()
    image = picture(20, 16)
    trace = with_heats(trace_model(model, image), lambda data: model.run(model.prepare(data)))
    found["network"] = saved(folder / "network.html", trace)
    found["few maps"] = saved(folder / "few.html", trace, 1)
    maps = "convolve sobel-x sobel-y | softmax"
    trace = trace_pipeline(Pipeline(maps), picture())
    found["few shares"] = saved(folder / "shares.html", trace, 2)
    one = featcli.load_model("zero-one")
    trace = trace_model(one, featcli.read(SAMPLES / "one.png", unit=True))
    found["zero-one"] = saved(folder / "zero-one.html", trace)
    return found


def imagenet(folder: Path) -> Subject:
    """Return the ImageNet network on a photo."""
    model = featcli.load_model("imagenet")
    trace = trace_model(model, featcli.read(SAMPLES / "cat.jpg"))
    trace = with_heats(trace, lambda data: model.run(model.prepare(data)))
    return saved(folder / "imagenet.html", trace)
