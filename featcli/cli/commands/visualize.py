"""Draw what the filters of a layer respond to, or which parts of an image decide its class.

Without --image, an image is computed for each filter that activates it as strongly as possible
(activation maximization by gradient ascent): starting from faint noise, the pixels follow the
gradient, with small random shifts and scalings at each step against high-frequency noise. Filters
of the first layer are drawn as their weights. The same seed gives the same pictures.

With --image, two maps are drawn for a class: the pixels that the score depends on (gradient x
input, averaged over noisy copies: SmoothGrad), and the positions in the layer that support the
class (Grad-CAM). With --filter, the same is drawn for a filter of the layer and its feature map.

MODEL is the name of an included model, or a file written by 'featcli train'. 'featcli info MODEL'
lists its layers.

Examples
--------
What the ten outputs of the digits network respond to, and the filters of its first layer:

    featcli visualize digits --layer scores -o digits.png
    featcli visualize digits --layer conv -o first.png

Sixteen filters from the middle of the ImageNet network, and two of its classes:

    featcli visualize imagenet --layer block9 --steps 8 -o block9.png
    featcli visualize imagenet --layer logits --filter zebra --filter 968 --steps 8 -o classes.png

Where the network sees the cat in the photo, and where a filter is active:

    featcli visualize imagenet --layer head --image photo.jpg -o where.png
    featcli visualize imagenet --layer block9 --image photo.jpg --filter 3
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import numpy as np

from featcli.cli import completions, options, saving
from featcli.cli.command import Command
from featcli.cli.frames import one_frame
from featcli.cli.messages import say
from featcli.cli.model_options import ModelChoice, model_argument, open_model
from featcli.cli.settings import Reading, collect
from featcli.errors import FeatError, UsageError, nearest
from featcli.frame import Step
from featcli.pipeline import Pipeline
from featcli.stage import safe_tag

if TYPE_CHECKING:
    from featcli.models.model import Model
    from featcli.view.picture import Picture

_DEFAULT_COUNT, _MOST = 16, 256  # filters


class _Settings(NamedTuple):
    """The options, except those for reading the image."""

    layer: str
    filters: tuple[str, ...]
    image: str | None
    class_: str | None
    output: str | None
    steps: int | None
    size: int | None
    seed: int
    overwrite: bool
    quiet: bool


def _visualize(model: str, **values: Any) -> None:
    from featcli.io import reports

    settings, reading = collect(_Settings, values), collect(Reading, values)
    _check(settings)
    found = open_model(ModelChoice(model), option="MODEL")
    try:
        found.check_layer(settings.layer)
    except ValueError as error:
        raise UsageError(f"--layer: {error}") from None
    given = [Path(settings.image)] if settings.image and settings.image != "-" else []
    target = settings.output or _default_name(found, settings)
    if target != "-":
        reports.check([Path(target)], settings.overwrite, given)
    try:
        picture = (
            _draw_attribution(found, settings, reading)
            if settings.image
            else _draw_filters(found, settings)
        )
    except ValueError as error:
        raise UsageError(f"{model}: {error}") from error
    saving.write({target: reports.as_png(picture)}, settings.overwrite, given)


def _check(settings: _Settings) -> None:
    output = settings.output
    if output == "-":
        saving.check_no_terminal("sheet.png")
    elif output:
        saving.check_suffix("-o", output, ".png")
    if settings.class_ is not None and not settings.image:
        raise UsageError("--class needs --image")
    if settings.class_ is not None and settings.filters:
        raise UsageError("--class and --filter: give one of them")
    for name in ("steps", "size"):
        if settings.image and getattr(settings, name) is not None:
            raise UsageError(f"--{name} and --image: --{name} is for visualizing filters")


def _default_name(model: Model, settings: _Settings) -> str:
    parts = [model.name, *settings.layer.split(".")]
    if settings.image:
        parts = [Path(settings.image).stem if settings.image != "-" else "stdin", *parts]
    return ".".join(safe_tag(part) for part in parts) + ".png"


def _draw_filters(model: Model, settings: _Settings) -> Picture:
    """Draw the filters of the first layer as weights, others by activation maximization."""
    from featcli.models.visualizing.first import first_layer

    network = model.description.network
    first = first_layer(network) if network.nodes else None
    if first and settings.layer in (first[0].name, network.node_of(first[0].name).name):
        return _draw_weights(model, settings)
    from featcli.models.visualizing.ascent import STEPS, Ascent, part_of
    from featcli.view import tiles as sheets

    part = part_of(model, settings.layer, settings.size)
    filters = _filters(model, settings, part.shape[-1], part.is_end)
    labels = model.labels if part.is_end else ()
    steps = settings.steps or STEPS
    with _progress(steps, settings) as progress:
        wanted = Ascent(part, filters, settings.seed).run(
            steps, lambda step, _: progress.update(step, 0)
        )
    tiles = [
        sheets.Tile(
            (labels[number] if labels else str(number)) + (" (not found)" * (not value)), picture
        )
        for number, picture, value in zip(filters, *wanted, strict=True)
    ]
    _say_not_found([one for one, value in zip(filters, wanted.values, strict=True) if not value],
              settings)  # fmt: skip
    about = (
        f"images that maximize {len(filters)} of its {part.shape[-1]} outputs, after {steps} steps "
        "of gradient ascent"
    )
    return sheets.draw(f"{model.name}: what layer {settings.layer} responds to", about, tiles)


def _say_not_found(numbers: Sequence[int], settings: _Settings) -> None:
    """Report the filters for which no image was found."""
    if numbers and not settings.quiet:
        those = " or ".join(filter(None, (", ".join(map(str, numbers[:-1])), str(numbers[-1]))))
        say(
            f"{settings.layer}: no image was found that activates filter {those}: its output "
            "stayed 0 after ReLU; try another --seed or more --steps"
        )


def _progress(steps: int, settings: _Settings) -> Any:
    from featcli.cli.progress import Progress

    return Progress(
        settings.quiet,
        False,
        lambda: steps,
        say,
        things="steps",
    )


def _draw_weights(model: Model, settings: _Settings) -> Picture:
    from featcli.models.visualizing.first import first_filters
    from featcli.view import filters
    from featcli.view import tiles as sheets

    for name in ("steps", "size"):
        if getattr(settings, name) is not None:
            raise UsageError(
                f"--{name}: {settings.layer} is the first layer, drawn as its weights: leave out "
                f"--{name}"
            )
    values = first_filters(model.description.network, model.weights)
    assert values is not None
    chosen = _filters(model, settings, values.shape[3], False)
    # Each filter has its own scale: on a common one, weak filters would be plain grey.
    drawn = [filters.levels(values[..., one, np.newaxis])[0][..., 0] for one in chosen]
    tiles = [sheets.Tile(str(one), pixels) for one, pixels in zip(chosen, drawn, strict=True)]
    rows, cols, channels, count = values.shape
    about = (
        f"the weights of {len(chosen)} of {count} filters of {rows}x{cols}x{channels}, each from "
        "black (negative) through mid-grey (0) to white"
    )
    return sheets.draw(f"{model.name}: the filters of {settings.layer}", about, tiles)


def _filters(model: Model, settings: _Settings, count: int, is_end: bool) -> Sequence[int]:
    """Return the numbers of the filters of --filter, or the first ones."""
    if not settings.filters:
        return range(min(count, _DEFAULT_COUNT))
    names = model.labels if is_end else ()
    found = [number for text in settings.filters for number in _parse_filter(text, count, names)]
    if len(found) > _MOST:
        raise UsageError(f"--filter: {len(found)} filters; at most {_MOST} at once")
    return list(dict.fromkeys(found))


def _parse_filter(text: str, count: int, names: Sequence[str]) -> range:
    """Parse N, N-M or the name of a class."""
    if text in names and not text.isdecimal():
        return range(names.index(text), names.index(text) + 1)
    first, dash, last = text.partition("-")
    if not (first.isdecimal() and (last.isdecimal() or not dash)):
        asked = f"give a number of 0 to {count - 1}, or several, such as 0-{min(count - 1, 7)}"
        near = nearest(text, names) or f": {asked}"
        raise UsageError(f"--filter {text!r}{near}")
    found = range(int(first), int(last if dash else first) + 1)
    if not found:
        raise UsageError(f"--filter {text}: the smaller number comes first")
    if found[-1] >= count:
        raise UsageError(f"--filter {text}: the filters of this layer are 0 to {count - 1}")
    return found


def _draw_attribution(model: Model, settings: _Settings, reading: Reading) -> Picture:
    """Draw which parts of an image a class score, or the activation of filters, depends on."""
    from featcli.models.visualizing import attributing
    from featcli.models.visualizing.parts import Part, shown
    from featcli.view import tiles as sheets

    Part(model, settings.layer)  # raises ValueError before the image is read
    steps = Pipeline((Step.of("classify", **model.params),))
    frame = one_frame(settings.image, reading.options_for(steps), settings.quiet)
    try:
        x = model.prepare(frame.data)
        model.description.network.check_input(x.shape)
    except ValueError as error:
        raise FeatError(f"{settings.image}: {error}") from error
    pixels = shown(model, x)
    tiles = []
    if settings.filters:
        count = Part(model, settings.layer).shape[-1]
        for number in _filters(model, settings, count, False):
            places = attributing.of_filter(model, x, settings.layer, number, settings.seed)
            _say_empty(places, f"filter {number} of {settings.layer} is 0 everywhere", settings)
            tiles += _tiles(pixels, places, f"filter {number}", f"map {number} of {settings.layer}")
        title = f"where filters of {settings.layer} are active"
    else:
        number, name = _class(model, settings, x)
        places = attributing.of_class(model, x, settings.layer, number, settings.seed)
        _say_empty(places, f"no position in {settings.layer} supports {name}", settings)
        tiles += _tiles(pixels, places, name, f"Grad-CAM at {settings.layer}")
        title = f"evidence for {name}"
    about = "input of the network; pixels that matter, for or against; positions that support it"
    return sheets.draw(f"{model.name}: {title}", about, tiles, across=3)


def _say_empty(places: Any, what: str, settings: _Settings) -> None:
    """Report why a heat map is empty."""
    if not places.heat.any() and not settings.quiet:
        say(f"{settings.image}: {what}: the heat map is empty")


def _tiles(pixels: Any, places: Any, name: str, heat: str) -> list[Any]:
    from featcli.trace import Heat
    from featcli.view import tiles as sheets
    from featcli.view.explain.answer import overlay

    plain = pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels
    found = Heat(name, 0.0, places.heat, (0.0, 0.0, 1.0, 1.0), "")
    return [
        sheets.Tile(f"{name}: score {places.value:.3g}", plain),
        sheets.Tile("gradient x input", sheets.bright(places.pixels)),
        sheets.Tile(heat, overlay(plain, found)),
    ]


def _class(model: Model, settings: _Settings, x: Any) -> tuple[int, str]:
    """Return number and name of the class of --class, or of the most probable one."""
    model.check_classifies()
    count = model.description.network.shape[0]
    names = model.labels or tuple(map(str, range(count)))
    if settings.class_ is None:
        number = int(model.run(x).argmax())
        return number, names[number] if number < len(names) else str(number)
    if settings.class_ in names:
        return names.index(settings.class_), settings.class_
    if settings.class_.isdecimal() and int(settings.class_) < count:
        return int(settings.class_), names[int(settings.class_)]
    near = nearest(settings.class_, names) or f": give a name, or a number of 0 to {count - 1}"
    raise UsageError(f"--class: no class {settings.class_!r}{near}")


command = Command(
    "visualize",
    __doc__,
    [
        model_argument("The name of an included model, or a model file (.npz)."),
        options.Option(
            "--layer",
            shell_complete=completions.layers,
            metavar="NAME",
            required=True,
            group="Model",
            help="The layer, or an operation in it, such as block3.expand.",
        ),
        options.Option(
            "--filter",
            "filters",
            multiple=True,
            metavar="N|N-M",
            group="Model",
            help="Numbers of filters, from 0; for the last layer also the name of a class. May be "
            f"given several times.  [default: the first {_DEFAULT_COUNT}]",
        ),
        options.path(
            "--image",
            metavar="FILE",
            group="Input",
            help="Show which parts of this image matter; - is standard input.",
        ),
        options.Option(
            "--class",
            "class_",
            metavar="NAME|N",
            group="Model",
            help="With --image: the class.  [default: the most probable one]",
        ),
        options.decode(),
        *options.without(options.reading(), "frames", "unit"),
        options.output(
            "The picture (.png), or - for stdout. Without it, MODEL.LAYER.png in the current "
            "folder.",
            metavar="FILE.png",
        ),
        options.Option(
            "--steps",
            type=click.IntRange(1, 10_000),
            help="The number of steps of gradient ascent.  [default: 96]",
        ),
        options.Option(
            "--size",
            type=click.IntRange(8, 1024),
            help="The shorter side of the pictures, in pixels.  [default: that of the network's "
            "input, at most 128]",
        ),
        options.Option(
            "--seed",
            type=click.IntRange(0, 2**32 - 1),
            default=0,
            help="The seed of the random numbers.",
        ),
        options.overwrite(),
        options.quiet(),
    ],
    callback=_visualize,
)
