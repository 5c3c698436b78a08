"""Show what the filters of a layer want to see, or where in a picture an answer comes from.

For each filter a picture is found that it answers more than any other: beginning with almost
nothing, the pixels go uphill along their gradients, moved and scaled a little at every step, so
that what comes of it is no noise. Filters that look at the picture itself are drawn as their
weights. Equal seeds give equal pictures.

With --image it shows what of a picture decides about a class: pixels, by gradient times input,
averaged over pictures with noise (SmoothGrad), bright where they count much, for the class or
against it; and the places of the layer that speak for it (Grad-CAM). With --filter, the same for a
filter of the layer and its map.

MODEL is one that ships with featcli, or the file of one that 'featcli train' has written. 'featcli
info MODEL' lists its layers.

Examples
--------
What the ten answers of the digits' network look for, and what its first filters are:

    featcli visualize digits --layer scores -o digits.png
    featcli visualize digits --layer conv -o first.png

Sixteen filters in the middle of the ImageNet network, and two of its classes:

    featcli visualize imagenet --layer block9 --steps 8 -o block9.png
    featcli visualize imagenet --layer logits --filter zebra --filter 968 --steps 8 -o classes.png

Where the photo shows a cat, and where a filter of the middle answers:

    featcli visualize imagenet --layer head --image photo.jpg -o where.png
    featcli visualize imagenet --layer block9 --image photo.jpg --filter 3
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import numpy as np

from featcli.cli import completions, options
from featcli.cli.command import Command
from featcli.cli.execute import reading_for
from featcli.cli.looking import one_frame
from featcli.cli.messages import emit, say
from featcli.cli.modelling import Asked, opened
from featcli.cli.settings import Reading, collect
from featcli.errors import FeatError, UsageError
from featcli.frame import Step
from featcli.pipeline import Pipeline
from featcli.stage import nearest, safe_tag

if TYPE_CHECKING:
    from featcli.models.model import Model
    from featcli.view.picture import Picture

_USUAL, _MOST = 16, 256  # filters


class _Settings(NamedTuple):
    """The options, but for how a picture is read."""

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


def _visualize(model: str, **given: Any) -> None:
    settings, reading = collect(_Settings, given), collect(Reading, given)
    _check(settings)
    found = opened(Asked(model), option="MODEL")
    try:
        found.check_layer(settings.layer)
    except ValueError as error:
        raise UsageError(f"--layer: {error}") from None
    target = (
        None if settings.output == "-" else Path(settings.output or _usual_name(found, settings))
    )
    if target:
        _check_free(target, settings)
    try:
        picture = (
            _of_picture(found, settings, reading)
            if settings.image
            else _of_filters(found, settings)
        )
    except ValueError as error:
        raise UsageError(f"{model}: {error}") from error
    _put(picture, target, settings)


def _check(settings: _Settings) -> None:
    output = settings.output
    if output and output != "-" and Path(output).suffix.lower() != ".png":
        raise UsageError(f"-o {output}: the sheet is a .png")
    if output == "-" and sys.stdout.isatty():
        raise UsageError("-o - would fill the terminal: pipe it somewhere, or give -o sheet.png")
    if settings.class_ is not None and not settings.image:
        raise UsageError("--class: needs --image, in which the class is looked for")
    if settings.class_ is not None and settings.filters:
        raise UsageError("--class and --filter: give one of them")
    for name in ("steps", "size"):
        if settings.image and getattr(settings, name) is not None:
            raise UsageError(f"--{name}: with --image no picture is made up")


def _check_free(target: Path, settings: _Settings) -> None:
    from featcli.io import reports

    given = [Path(settings.image)] if settings.image and settings.image != "-" else []
    reports.check([target], settings.overwrite, given)


def _put(picture: Picture, target: Path | None, settings: _Settings) -> None:
    from featcli.io import reports

    content = reports.as_png(picture)
    if target is None:
        sys.stdout.buffer.write(content)
        return
    _check_free(target, settings)
    reports.write({target: content})
    emit(str(target))


def _usual_name(model: Model, settings: _Settings) -> str:
    parts = [model.name, *settings.layer.split(".")]
    if settings.image:
        parts = [Path(settings.image).stem if settings.image != "-" else "stdin", *parts]
    return ".".join(safe_tag(part) for part in parts) + ".png"


def _of_filters(model: Model, settings: _Settings) -> Picture:
    """Draw the weights of a first layer, or go uphill for others."""
    from featcli.models.visualizing.first import first_layer

    network = model.description.network
    first = first_layer(network) if network.nodes else None
    if first and settings.layer in (first[0].name, network.node_of(first[0].name).name):
        return _of_weights(model, settings)
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
        f"the pictures that {len(filters)} of its {part.shape[-1]} values answer most, found in "
        f"{steps} steps"
    )
    return sheets.draw(f"{model.name}: what {settings.layer} wants to see", about, tiles)


def _say_not_found(numbers: Sequence[int], settings: _Settings) -> None:
    """Name the filters whose tiles are no answer."""
    if numbers and not settings.quiet:
        those = " or ".join(filter(None, (", ".join(map(str, numbers[:-1])), str(numbers[-1]))))
        say(
            f"{settings.layer}: no picture was found that filter {those} answers: ReLU leaves "
            "nothing of it; another --seed or more --steps may find one",
            command="visualize",
        )


def _progress(steps: int, settings: _Settings) -> Any:
    from featcli.cli.progress import Progress

    return Progress(
        settings.quiet,
        False,
        lambda: steps,
        lambda text: say(text, command="visualize"),
        things="steps",
    )


def _of_weights(model: Model, settings: _Settings) -> Picture:
    from featcli.models.visualizing.first import first_filters
    from featcli.view import filters
    from featcli.view import tiles as sheets

    for name in ("steps", "size"):
        if getattr(settings, name) is not None:
            raise UsageError(
                f"--{name}: {settings.layer} looks at the picture itself: its weights are drawn"
            )
    values = first_filters(model.description.network, model.weights)
    assert values is not None
    chosen = _filters(model, settings, values.shape[3], False)
    # Each on a scale of its own: beside a strong one the others would be grey.
    drawn = [filters.levels(values[..., one, np.newaxis])[0][..., 0] for one in chosen]
    tiles = [sheets.Tile(str(one), pixels) for one, pixels in zip(chosen, drawn, strict=True)]
    rows, cols, channels, count = values.shape
    about = (
        f"the weights of {len(chosen)} of {count} filters of {rows}x{cols}x{channels}, each from "
        "black (negative) by mid-grey (0) to white"
    )
    return sheets.draw(f"{model.name}: the filters of {settings.layer}", about, tiles)


def _filters(model: Model, settings: _Settings, count: int, is_end: bool) -> Sequence[int]:
    """Return the numbers of the filters that were asked for, or the first ones."""
    if not settings.filters:
        return range(min(count, _USUAL))
    names = model.labels if is_end else ()
    found = [number for text in settings.filters for number in _numbers(text, count, names)]
    if len(found) > _MOST:
        raise UsageError(f"--filter: {len(found)} at once; {_MOST} are the most")
    return list(dict.fromkeys(found))


def _numbers(text: str, count: int, names: Sequence[str]) -> range:
    """Read N, N-M or the name of a class."""
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
        raise UsageError(f"--filter {text}: the layer has {count}, 0 to {count - 1}")
    return found


def _of_picture(model: Model, settings: _Settings, reading: Reading) -> Picture:
    """Draw where the answers of a class, or of filters, come from in a picture."""
    from featcli.models.visualizing import attributing
    from featcli.models.visualizing.parts import Part, shown
    from featcli.view import tiles as sheets

    Part(model, settings.layer)  # before the picture is read
    steps = Pipeline((Step.of("classify", **model.params),))
    frame, notes = one_frame(settings.image, reading_for(reading, steps))
    for note in () if settings.quiet else notes:
        say(f"{frame.source.file}: {note}", command="visualize")
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
            _say_nowhere(places, f"filter {number} of {settings.layer} answers nowhere", settings)
            tiles += _row(pixels, places, f"filter {number}", f"map {number} of {settings.layer}")
        title = f"where filters of {settings.layer} answer"
    else:
        number, name = _class(model, settings, x)
        places = attributing.of_class(model, x, settings.layer, number, settings.seed)
        _say_nowhere(places, f"nothing at {settings.layer} speaks for {name}", settings)
        tiles += _row(pixels, places, name, f"Grad-CAM at {settings.layer}")
        title = f"where {name} is seen"
    about = "what the network gets; the pixels that count, for or against; the places that count"
    return sheets.draw(f"{model.name}: {title}", about, tiles, across=3)


def _say_nowhere(places: Any, what: str, settings: _Settings) -> None:
    """Say of a map of places that is empty why that is."""
    if not places.heat.any() and not settings.quiet:
        say(f"{settings.image}: {what}: its places are empty", command="visualize")


def _row(pixels: Any, places: Any, name: str, heat: str) -> list[Any]:
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
    """Return the number and the name of the class that is asked for, or of the likeliest."""
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


def _options() -> list[click.Parameter]:
    grouped = options.Grouped
    return [
        options.Described(
            "model",
            "A model that ships with featcli, or a model file (.npz).",
            metavar="MODEL",
            shell_complete=completions.models,
        ),
        grouped(
            ["--layer"],
            shell_complete=completions.layers,
            metavar="NAME",
            required=True,
            group="Model",
            help="The layer, or an operation in it such as block3.expand.",
        ),
        grouped(
            ["--filter", "filters"],
            multiple=True,
            metavar="N|N-M",
            group="Model",
            help="Which of its filters, from 0; of the last layer the name of a class, too. May be "
            f"given several times.  [default: the first {_USUAL}]",
        ),
        options.place(
            "--image",
            metavar="FILE",
            group="Input",
            help="Show where in this picture the answer comes from; - is standard input.",
        ),
        grouped(
            ["--class", "class_"],
            metavar="NAME|N",
            group="Model",
            help="With --image: which class.  [default: the likeliest]",
        ),
        options.decode(),
        *(one for one in options.reading() if one.name not in ("frames", "unit")),
        options.output(
            "The sheet (.png), or - for stdout. Without it MODEL.LAYER.png in the current folder.",
            metavar="FILE.png",
        ),
        grouped(
            ["--steps"],
            type=click.IntRange(1, 10_000),
            metavar="N",
            help="How many steps go uphill.  [default: 96]",
        ),
        grouped(
            ["--size"],
            type=click.IntRange(8, 1024),
            metavar="N",
            help="The short side of the pictures, in pixels.  [default: the network's own, 128 of "
            "a larger one]",
        ),
        grouped(
            ["--seed"],
            type=click.IntRange(0, 2**32 - 1),
            metavar="N",
            default=0,
            show_default=True,
            help="Of all that is random.",
        ),
        grouped(["--overwrite"], is_flag=True, group="Output", help="Replace what is there."),
        options.quiet(),
        options.debug(),
    ]


command = Command("visualize", __doc__, _options(), callback=_visualize)
