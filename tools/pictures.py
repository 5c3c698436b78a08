"""Draw the pictures of the README: each is what featcli itself makes of a sample."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import featcli
from featcli.models.attribution import with_heats
from featcli.models.tracing import trace_model
from featcli.view.filmstrip import draw as draw_strip
from featcli.view.picture import draw

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
PAPER, INK = (255, 255, 255), (40, 44, 52)
GAP, TITLE = 12, 26


def sample(name: str) -> featcli.Frame:
    return featcli.read(ROOT / "samples" / name)


def run(text: str, frame: featcli.Frame) -> featcli.Frame:
    return featcli.Pipeline(text)(frame)


def as_image(frame: featcli.Frame) -> Image.Image:
    return Image.fromarray(
        draw(frame.data, frame.labels, row_length=frame.row_length).pixels
    ).convert("RGB")


def matrix(frame: featcli.Frame) -> Image.Image:
    """Draw a small array as the commands do: every value a cell with its number."""
    return Image.fromarray(draw(frame.data, cells="on").pixels).convert("RGB")


def strip(pieces: list[tuple[str, Image.Image]], height: int = 0) -> Image.Image:
    """Set pictures side by side, each under its title."""
    if height:
        scaled = [one.resize((round(one.width * height / one.height), height)) for _, one in pieces]
        pieces = [(title, one) for (title, _), one in zip(pieces, scaled, strict=True)]
    font = ImageFont.load_default(size=15)
    widths = [max(one.width, round(font.getlength(title)) + 4) for title, one in pieces]
    tallest = max(one.height for _, one in pieces)
    sheet = Image.new(
        "RGB", (sum(widths) + GAP * (len(pieces) + 1), tallest + TITLE + 2 * GAP), PAPER
    )
    pen, left = ImageDraw.Draw(sheet), GAP
    for (title, one), width in zip(pieces, widths, strict=True):
        pen.text((left + width / 2, GAP), title, fill=INK, font=font, anchor="ma")
        sheet.paste(
            one, (left + (width - one.width) // 2, GAP + TITLE + (tallest - one.height) // 2)
        )
        left += width + GAP
    return sheet


def save(name: str, picture: Image.Image, colours: int = 0) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    small = picture.quantize(colours, dither=Image.Dither.NONE) if colours else picture
    small.save(FOLDER / name, optimize=True)


def top() -> Image.Image:
    photo = run("resize 300x451", sample("cat.jpg"))
    steps = [
        ("a photo", ""),
        ("convolve vertical", "convolve vertical"),
        ("relu", "convolve vertical | relu"),
        ("pool 2", "convolve vertical | relu | pool 2"),
    ]
    pieces = [(title, as_image(run(text, photo) if text else photo)) for title, text in steps]
    height = 170
    full = [(title, one.resize((256, height))) for title, one in pieces[:3]]
    return strip([*full, (pieces[3][0], pieces[3][1].resize((128, 85)))])


def digits() -> Image.Image:
    one, zero = sample("one.png"), sample("zero.png")
    flat = run("pool 2 | flatten", one)
    return strip(
        [
            ("one.png, 6x6", matrix(one)),
            ("zero.png, 6x6", matrix(zero)),
            ("pool 2", matrix(run("pool 2", one))),
            ("flatten", matrix(flat)),
            ("convolve vertical", matrix(run("convolve vertical", one))),
        ]
    )


def channels() -> Image.Image:
    photo = run("resize 150x226", sample("cat.jpg"))
    parts = featcli.Pipeline("split-channels").run(photo)
    pieces = [("photo", as_image(photo)), *((part.part, as_image(part)) for part in parts)]
    return strip([*pieces, ("flatten", as_image(run("flatten", photo)))], height=140)


def edges() -> Image.Image:
    wall = run("resize 256x256 | crop 150x226", sample("brick.png"))
    steps = ["convolve vertical", "convolve horizontal", "convolve vertical | relu | pool 2"]
    titles = ["vertical", "horizontal", "vertical | relu | pool 2"]
    pieces = [(name, as_image(run(text, wall))) for name, text in zip(titles, steps, strict=True)]
    return strip([("a wall", as_image(wall)), *pieces])


def filmstrip() -> Image.Image:
    """The photo's whole way through the network that ships with featcli."""
    model = featcli.load_model("imagenet")
    trace = trace_model(model, sample("cat.jpg"))
    trace = with_heats(trace, lambda data: model.run(model.prepare(data)))
    return Image.fromarray(draw_strip(trace).pixels)


def of_page(name: str) -> None:
    """Run the commands of a page of docs/, and keep the pictures that they write."""
    (block,) = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / name).read_text(), re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "samples" / "cat.jpg", Path(folder) / "photo.jpg")
        for line in block.splitlines():
            command = [sys.executable, "-m", *shlex.split(line)]
            subprocess.run(command, cwd=folder, check=True, env={"PYTHONPATH": str(ROOT)})
        for picture in sorted(Path(folder).glob("*.png")):
            save(picture.name, Image.open(picture).convert("RGB"), 256)


def film() -> None:
    """Run the README's training, and keep its film as it is."""
    line = re.search(r"^\$ (featcli train .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert line
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", *shlex.split(line[1])]
        subprocess.run(command, cwd=folder, check=True, env={"PYTHONPATH": str(ROOT)})
        shutil.copy(Path(folder) / "report" / "film.png", FOLDER / "learned-film.png")


def main() -> None:
    film()
    of_page("visualize.md")
    save("filmstrip.png", filmstrip(), 256)
    save("pipeline.png", top(), 256)
    save("digits.png", digits(), 32)
    save("channels.png", channels(), 256)
    save("edges.png", edges(), 256)


if __name__ == "__main__":
    main()
