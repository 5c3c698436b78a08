"""Draw the pictures of docs/lesson.md, and write docs/lesson.ipynb from it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from pictures import as_image, matrix, run, sample, save, strip
from PIL import Image

import featcli
from featcli.frame import Frame
from featcli.models.attribution import with_heats
from featcli.models.tracing import trace_model, trace_pipeline
from featcli.pipeline import Pipeline
from featcli.view.filmstrip import draw as draw_strip
from featcli.view.picture import draw
from featcli.view.sliding import frames

ROOT = Path(__file__).resolve().parent.parent
PAGE, NOTEBOOK = ROOT / "docs" / "lesson.md", ROOT / "docs" / "lesson.ipynb"
PICTURES = ROOT / "docs" / "pictures"
HEIGHT = 190
# The code of each step for a notebook: what the commands do, in Python.
CODE = [
    """\
import numpy as np

import featcli

one = featcli.read(samples / "one.png")
zero = featcli.read(samples / "zero.png")
one""",
    """\
small = featcli.Pipeline("pool 2")(one)
column = featcli.Pipeline("pool 2 | flatten")(one)
assert column.data.shape == (9,)
column""",
    """\
photo = featcli.read(samples / "cat.jpg")
featcli.Pipeline("split-channels").run(photo)""",
    """\
featcli.Pipeline("flatten")(photo)""",
    """\
wall = featcli.read(samples / "brick.png")
featcli.Pipeline("resize 256 | convolve vertical horizontal")(wall)""",
    """\
pooled = featcli.Pipeline("convolve vertical | relu | pool 2")(photo)
assert pooled.data.min() >= 0
pooled""",
    """\
model = featcli.load_model("zero-one")
one = featcli.read(samples / "one.png", unit=True)
moved = featcli.Pipeline("convolve '0 0 0; 1 0 0; 0 0 0' --border constant")(one)
for name, digit in (("one", one), ("the same, one pixel further", moved)):
    result = model(digit)
    shares = zip(result.labels, result.data, strict=True)
    print(name, "is", ", ".join(f"a {label} by {share:.1%}" for label, share in shares))
assert model(one).data[1] > 0.9 and model(moved).data[0] > 0.9
moved""",
    """\
import subprocess
import sys
import tempfile

folder = Path(tempfile.mkdtemp())
command = ["train", "digits", "-o", folder / "dense.npz", "--arch", "dense", "--epochs", "3", "-q"]
subprocess.run([sys.executable, "-m", "featcli", *command], check=True)
with np.load(Path(featcli.__file__).parent / "data" / "digits.npz") as digits:
    x, y = digits["test_x"][:500], digits["test_y"][:500]
right = {}
for name in (folder / "dense.npz", "digits"):
    model = featcli.load_model(name)
    for pixels in (0, 3):
        moved = np.roll(x, pixels, axis=2)
        moved[:, :, :pixels] = 0
        found = [model(one[:, :, np.newaxis]).data.argmax() for one in moved]
        right[model.name, pixels] = np.mean(found == y)
        print(f"{model.name}, {pixels} pixels further: {right[model.name, pixels]:.1%}")
assert right["dense", 0] > 0.85 and right["dense", 3] < 0.7 and right["digits", 3] > 0.9
featcli.Frame(np.roll(x[0], 3, axis=1))""",
]


def scaled(image: Image.Image, height: int = HEIGHT) -> Image.Image:
    """Bring a picture to a height; small cells stay as sharp as they are."""
    size = (round(image.width * height / image.height), height)
    return image.resize(size, Image.Resampling.LANCZOS)


def one_window() -> Image.Image:
    """A frame of the animation: the window over the digit, and its arithmetic."""
    trace = trace_pipeline(Pipeline("convolve vertical"), sample("one.png"))
    return scaled(Image.fromarray(list(frames(trace, 3))[8].pixels), 250)


def digit(place: int, shift: int) -> Image.Image:
    with np.load(ROOT / "featcli" / "data" / "digits.npz") as digits:
        found = np.roll(digits["test_x"][place], shift, axis=1)
    return as_image(Frame(found)).resize((196, 196), Image.Resampling.NEAREST)


def first() -> Image.Image:
    return strip([(f"{name}.png, 6x6", matrix(sample(f"{name}.png"))) for name in ("one", "zero")])


def second() -> Image.Image:
    one = sample("one.png")
    steps = [
        ("6x6", one),
        ("pool 2", run("pool 2", one)),
        ("flatten", run("pool 2 | flatten", one)),
    ]
    return strip([(title, matrix(frame)) for title, frame in steps])


def third() -> Image.Image:
    photo = sample("cat.jpg")
    parts = featcli.Pipeline("split-channels").run(photo)
    few = matrix(run("resize 6x8", photo))
    pieces = [("photo", photo), *((part.part, part) for part in parts)]
    return strip(
        [*((name, scaled(as_image(one), 150)) for name, one in pieces), ("6x8 pixels", few)]
    )


def fourth() -> Image.Image:
    photo = run("resize 150x226", sample("cat.jpg"))
    flat = run("flatten", photo)
    whole = draw(flat.data, row_length=flat.row_length).pixels
    return strip([("photo", as_image(photo)), ("flatten", Image.fromarray(whole).convert("RGB"))])


def fifth() -> Image.Image:
    wall = run("resize 256x256 | crop 170x220", sample("brick.png"))
    kinds = ("vertical", "horizontal")
    edges = [(kind, as_image(run(f"convolve {kind}", wall))) for kind in kinds]
    return strip([("a wall", as_image(wall)), *edges, ("one cell of the digit", one_window())])


def sixth() -> Image.Image:
    photo = sample("cat.jpg")
    chains = ["convolve vertical", "convolve vertical | relu", "convolve vertical | relu | pool 2"]
    pieces = [(text.split(" | ")[-1], run(text, photo)) for text in chains]
    shown = [(title, scaled(as_image(one))) for title, one in pieces[:2]]
    half = scaled(as_image(pieces[2][1]), HEIGHT // 2)
    return strip([("photo", scaled(as_image(photo))), *shown, (pieces[2][0], half)])


def seventh() -> Image.Image:
    model = featcli.load_model("zero-one")
    trace = trace_model(model, featcli.read(ROOT / "samples" / "one.png", unit=True))
    trace = with_heats(trace, lambda data: model.run(model.prepare(data)))
    return Image.fromarray(draw_strip(trace).pixels)


def eighth() -> Image.Image:
    with Image.open(PICTURES / "learned-filters.png") as image:
        filters = scaled(image.convert("RGB"), 196)
    pieces = [("a digit", digit(3, 0)), ("the same, moved", digit(3, 3))]
    return strip([*pieces, ("filters, before and after training", filters)])


def notebook() -> dict[str, object]:
    """Turn the page into a notebook: its text, and the code that does the same in Python."""
    text = re.sub(r"<!--.*?-->\n", "", PAGE.read_text("utf-8"))
    text = re.sub(r"```(console|python)\n.*?```\n\n?", "", text, flags=re.S)
    text = re.sub(r"!\[[^]]*\]\([^)]*\)\n\n?", "", text)
    head, *steps, answers = re.split(r"^(?=## )", text, flags=re.M)
    cells = [_prose(_about(head)), _code(_START)]
    for number, (step, code) in enumerate(zip(steps, CODE, strict=True), 1):
        prose, question, rest = re.split(r"^(?=\*\*(?:Question|Common mistake))", step, flags=re.M)
        cells += [_prose(prose), _code(code), _prose(question + rest)]
        assert prose.startswith(f"## {number}. ")
    cells.append(_prose(answers))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}


_START = """\
from pathlib import Path

# The folder with the pictures: beside this notebook's folder in a clone of the repository.
places = (Path.cwd(), Path.cwd().parent)
samples = next(one / "samples" for one in places if (one / "samples").is_dir())"""


def _about(head: str) -> str:
    title = head.splitlines()[0]
    return (
        f"{title}\n\nThe lesson of [lesson.md](lesson.md) in Python: every step has code, a "
        "question, and a common mistake. It needs `featcli` and the folder "
        "`samples` of its repository. Frames show themselves: as the last line of a cell, a frame "
        "is its picture."
    )


def _prose(text: str) -> dict[str, object]:
    return {"cell_type": "markdown", "metadata": {}, "source": text.strip().splitlines(True)}


def _code(text: str) -> dict[str, object]:
    source = text.strip().splitlines(True)
    about = {"execution_count": None, "outputs": []}
    return {"cell_type": "code", "metadata": {}, "source": source, **about}


def main() -> None:
    steps = (first, second, third, fourth, fifth, sixth, seventh, eighth)
    for number, step in enumerate(steps, 1):
        save(f"lesson-{number}.png", step(), 256)
    NOTEBOOK.write_text(json.dumps(notebook(), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
