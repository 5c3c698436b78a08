"""Give the vector that a layer of a network sees, for scikit-learn or a search by likeness.

The layer is named by --layer; 'featcli info imagenet' lists those of the network that ships with
featcli. Without it the layer is taken that the last learned one decides by: of that network pool,
1280 numbers, what it knows of the image before it decides on a class. Maps are flattened channel
by channel, as by flatten.

-o FILE takes all images as the rows of one matrix, in the order of the inputs: .npy (its sidecar
has the keys), .npz (with the keys, and a matrix for each layer), .csv, .jsonl or .parquet. A
folder takes a file for each image.

--tile cuts every picture into tiles, each of which goes through the model as a picture of its own
would. They begin every --stride pixels; the last one of a row or a column is moved back to end at
the edge, so that every tile is whole and, unless the stride is larger than a tile, every pixel is
in one. Mind what the model does with a picture first ('featcli info MODEL', preprocessing): imagenet
keeps the middle 7/8 of a tile, so that --stride of at most 7/8 of --tile lets it see every pixel but
those at the edge of the picture. A table has a row for each tile,
with part (r0c112), row, col, height and width; elsewhere a tile is a part of its image's results.
The tiles of an image are committed together.

Examples
--------
The embedding of a photo, and of many:

    featcli features photo.jpg
    featcli features photos/ -o features.npz

Two layers in one pass:

    featcli features photos/ --layer block3 --layer pool -o features.npz

The maps of a layer, and a vector for each tile of 128 x 128 pixels:

    featcli features photo.jpg --layer block3 --maps -o maps.npy
    featcli features photo.jpg --tile 128 --stride 96 -o tiles.csv

Where the photo looks like a tiger cat:

    featcli features photo.jpg --layer probabilities --tile 128 --stride 64 --heat cat.png --heat-of "tiger cat"
"""  # noqa: E501

from __future__ import annotations

from typing import Any, NamedTuple

import click

from featcli.batch.targets import Table
from featcli.cli import completions, options
from featcli.cli.command import Command
from featcli.cli.execute import execute
from featcli.cli.messages import say
from featcli.cli.modelling import (
    Asked,
    input_options,
    model_options,
    opened,
    output_options,
    say_raw,
)
from featcli.cli.settings import Settings, collect
from featcli.errors import UsageError
from featcli.frame import Step
from featcli.io.outputs import Kind
from featcli.io.tables import RESERVED
from featcli.models.extraction import Extraction
from featcli.models.tiling import Tiling
from featcli.ops.resizing import parse_size

_ROWS = (".csv", ".jsonl", ".parquet")  # which hold nothing but vectors


class _Shaped(NamedTuple):
    """What is given of each image: vectors or maps, of the whole or of tiles, and a picture."""

    l2: bool
    maps: bool
    tile: Any
    stride: Any
    heat: str | None
    heat_of: str | None


def _features(layer: tuple[str, ...], **given: Any) -> None:
    shaped = collect(_Shaped, given)
    asked, settings = collect(Asked, given), Settings.take(given)
    _check(shaped)
    if shaped.maps and settings.output.kind is Kind.TABLE and settings.output.path.suffix in _ROWS:
        raise UsageError(
            f"-o {settings.output.path}: a table holds vectors: leave out --maps, or name a folder"
        )
    found = opened(asked)
    layers = layer or (found.embedding,)
    for name in layers:
        if name in RESERVED:
            raise UsageError(f"--layer {name}: tables have a column of their own called {name!r}")
    try:
        params = found.params
        del params["model"]
        pipeline = Extraction(
            asked.name,
            layers,
            params,
            [Step.of("l2")] if shaped.l2 else [],
            shaped.maps,
            Tiling.of(shaped.tile, shaped.stride) if shaped.tile else None,
        )
    except ValueError as error:
        raise UsageError(f"--layer: {error}") from error
    if not settings.printing.quiet:
        say_raw(found, "features")
        for note in pipeline.tiling.notes if pipeline.tiling else ():
            say(note, command="features")
    if shaped.heat and not settings.batch.dry_run:
        from featcli.cli.heating import draw_heat

        draw_heat(shaped.heat, shaped.heat_of, found, pipeline, settings)
        if settings.output.kind is Kind.HERE:
            return
    execute(pipeline, settings, table=Table(always=not shaped.maps))


def _check(shaped: _Shaped) -> None:
    if shaped.maps and shaped.l2:
        raise UsageError("--l2 divides vectors: leave out --maps")
    for name in ("stride", "heat"):
        if getattr(shaped, name) and not shaped.tile:
            raise UsageError(f"--{name}: needs --tile")
    if shaped.heat_of and not shaped.heat:
        raise UsageError("--heat-of: needs --heat")
    if shaped.heat and shaped.maps:
        raise UsageError("--heat draws a value of each tile's vector: leave out --maps")


def _size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Any:
    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


command = Command(
    "features",
    __doc__,
    [
        *input_options(),
        *model_options("labels"),
        options.Grouped(
            ["--layer"],
            shell_complete=completions.layers,
            multiple=True,
            metavar="NAME",
            group="Model",
            help="Whose values to give; several in one pass.  [default: the one before the last "
            "learned layer, such as pool of imagenet; the result, if none is]",
        ),
        options.Grouped(
            ["--l2"],
            is_flag=True,
            group="Model",
            help="Divide each vector by its length: for comparisons by direction.",
        ),
        options.Grouped(
            ["--maps"],
            is_flag=True,
            group="Model",
            help="Keep a layer's maps as (rows, cols, channels), instead of a vector.",
        ),
        options.Grouped(
            ["--tile"],
            metavar="N|RxC",
            callback=_size,
            group="Model",
            help="Give the vector of each tile of this size, with its place in pixels.",
        ),
        options.Grouped(
            ["--stride"],
            metavar="N|RxC",
            callback=_size,
            group="Model",
            help="From one tile to the next.  [default: the size of a tile]",
        ),
        options.place(
            "--heat",
            metavar="FILE.png",
            help="Draw a value of each tile over the photo; of one image.",
        ),
        options.Grouped(
            ["--heat-of"],
            metavar="CLASS|N",
            group="Output",
            help="Which value of a tile's vector.  [default: the length of the vector]",
        ),
        *output_options("output"),
        options.output(
            "A matrix with a row an image (.npy .npz .csv .jsonl .parquet), a folder, a file "
            "(.png .tar), or - for a tar stream on stdout. Without it, files in the current "
            "folder.",
        ),
        *options.batch(),
        options.quiet(),
        options.verbose(),
        options.debug(),
    ],
    callback=_features,
)
