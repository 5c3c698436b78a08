"""Extract feature vectors (embeddings) from images with a neural network.

They are the outputs of one layer, for scikit-learn or a similarity search. --layer names it;
'featcli info imagenet' lists the layers of the included network. The default is the input of the
last layer with weights: for imagenet that is pool, 1280 numbers. Feature maps are flattened channel
by channel, as by the stage flatten.

-o FILE writes one matrix with a row for each image, in the order of the inputs: .npy (the keys are
in its sidecar), .npz (with the keys, and a matrix for each layer), .csv, .jsonl or .parquet. -o
FOLDER/ writes a file for each image.

--tile cuts every image into tiles and runs the model on each, as on an image of its own. Tiles
begin every --stride pixels; the last one of a row or a column is moved back to end at the edge, so
that all tiles have full size. Note the model's preprocessing ('featcli info MODEL'): imagenet crops
the middle 7/8 of its input, so that a --stride of at most 7/8 of --tile lets it see every pixel
except those at the edge of the image. A table gets a row for each tile, with the columns part
(r0c112), row, col, height and width; in other outputs each tile is a part of its image's results.
If one tile of an image fails, no result of the image is written.

Examples
--------
The feature vector of a photo, and of all photos in a folder:

    featcli features photo.jpg
    featcli features photos/ -o features.npz

Two layers at once:

    featcli features photos/ --layer block3 --layer pool -o features.npz

The feature maps of a layer; and a vector for each tile of 128 x 128 pixels:

    featcli features photo.jpg --layer block3 --maps -o maps.npy
    featcli features photo.jpg --tile 128 --stride 96 -o tiles.csv

A heat map of where the photo looks like a tiger cat:

    featcli features photo.jpg --layer probabilities --tile 128 --stride 64 --heat cat.png --heat-of "tiger cat"
"""  # noqa: E501

from __future__ import annotations

from typing import Any, NamedTuple

from featcli.batch.targets import Table
from featcli.cli import checks, completions, options
from featcli.cli.command import Command
from featcli.cli.execute import execute
from featcli.cli.messages import say
from featcli.cli.model_options import (
    ModelChoice,
    model_options,
    open_model,
    warn_raw_pixels,
)
from featcli.cli.settings import Settings, collect
from featcli.errors import UsageError
from featcli.frame import Step
from featcli.io.outputs import Kind
from featcli.io.tables import RESERVED
from featcli.models.extraction import Extraction
from featcli.models.tiling import Tiling
from featcli.ops.resizing import parse_size

_ROWS = (".csv", ".jsonl", ".parquet")  # tables that can only hold vectors, not maps


class _Form(NamedTuple):
    """The form of the results: vectors or maps, whole images or tiles, a heat map."""

    l2: bool
    maps: bool
    tile: Any
    stride: Any
    heat: str | None
    heat_of: str | None


def _features(layer: tuple[str, ...], **given: Any) -> None:
    form = collect(_Form, given)
    asked, settings = collect(ModelChoice, given), Settings.take(given)
    _check(form)
    if form.maps and settings.output.kind is Kind.TABLE and settings.output.path.suffix in _ROWS:
        raise UsageError(
            f"-o {settings.output.path}: a table holds vectors only: leave out --maps, or give a "
            "folder"
        )
    found = open_model(asked)
    layers = layer or (found.embedding,)
    for name in layers:
        if name in RESERVED:
            raise UsageError(f"--layer {name}: {name!r} is the name of another column of tables")
    try:
        params = found.params
        del params["model"]
        pipeline = Extraction(
            asked.name,
            layers,
            params,
            [Step.of("l2")] if form.l2 else [],
            form.maps,
            Tiling.of(form.tile, form.stride) if form.tile else None,
        )
    except ValueError as error:
        raise UsageError(f"--layer: {error}") from error
    if not settings.printing.quiet:
        warn_raw_pixels(found)
        for note in pipeline.tiling.notes if pipeline.tiling else ():
            say(note)
    if form.heat and not settings.batch.dry_run:
        from featcli.cli.heat_map import draw_heat

        draw_heat(form.heat, form.heat_of, found, pipeline, settings)
        if settings.output.kind is Kind.HERE:
            return
    execute(pipeline, settings, table=Table(always=not form.maps))


def _check(form: _Form) -> None:
    if form.maps and form.l2:
        raise UsageError("--l2 and --maps: --l2 is for vectors")
    for name in ("stride", "heat"):
        if getattr(form, name) and not form.tile:
            raise UsageError(f"--{name} needs --tile")
    if form.heat_of and not form.heat:
        raise UsageError("--heat-of needs --heat")
    if form.heat and form.maps:
        raise UsageError("--heat and --maps: --heat draws a value of each tile's vector")


command = Command(
    "features",
    __doc__,
    [
        *options.without(options.inputs(), "unit"),
        *options.without(model_options(), "labels"),
        options.Option(
            "--layer",
            shell_complete=completions.layers,
            multiple=True,
            metavar="NAME",
            group="Model",
            help="The layer whose output to extract; may be given several times.  [default: the "
            "input of the last layer with weights, such as pool of imagenet]",
        ),
        options.flag(
            "--l2",
            group="Model",
            help="Divide each vector by its Euclidean length, for cosine similarity.",
        ),
        options.flag(
            "--maps",
            group="Model",
            help="Save feature maps as (rows, cols, channels) instead of flattening them.",
        ),
        options.Option(
            "--tile",
            metavar="N|RxC",
            callback=checks.callback(parse_size),
            group="Model",
            help="Cut images into tiles of this size in pixels, and extract a vector from each.",
        ),
        options.Option(
            "--stride",
            metavar="N|RxC",
            callback=checks.callback(parse_size),
            group="Model",
            help="Distance from one tile to the next, in pixels.  [default: the size of a tile]",
        ),
        options.path(
            "--heat",
            metavar="FILE.png",
            help="With --tile and one image: draw a heat map of the tiles over the image.",
        ),
        options.Option(
            "--heat-of",
            metavar="CLASS|N",
            group="Output",
            help="The value of each tile to draw by --heat.  [default: the length of its vector]",
        ),
        *options.without(options.outputs(), "output"),
        options.output(
            "A table with a row for each image (.npy .npz .csv .jsonl .parquet), a folder, a file "
            "(.png .tar), or - for a tar stream on stdout. Without it, files are written to the "
            "current folder.",
        ),
        *options.batch(),
        options.quiet(),
        options.verbose(),
    ],
    callback=_features,
)
