"""Give the vector that a layer of a network sees, for scikit-learn or a search by likeness.

The layer is named by --layer; 'featcli info imagenet' lists those of the network that ships with
featcli. Without it the layer is taken that the last learned one decides by: of that network pool,
1280 numbers, what it knows of the image before it decides on a class. Maps are flattened channel
by channel, as by flatten.

-o FILE takes all images as the rows of one matrix, in the order of the inputs: .npy (its sidecar
has the keys), .npz (with the keys, and a matrix for each layer), .csv, .jsonl or .parquet. A
folder takes a file for each image.

Examples
--------
The embedding of a photo, and of many:

    featcli features photo.jpg
    featcli features photos/ -o features.npz

Two layers in one pass:

    featcli features photos/ --layer block3 --layer pool -o features.npz
"""

from __future__ import annotations

from typing import Any

from featcli.batch.targets import Table
from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.execute import execute
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
from featcli.io.tables import RESERVED
from featcli.models.stages import Extraction


def _features(layer: tuple[str, ...], l2: bool, **given: Any) -> None:
    asked, settings = collect(Asked, given), Settings.take(given)
    found = opened(asked)
    layers = layer or (found.embedding,)
    for name in layers:
        if name in RESERVED:
            raise UsageError(f"--layer {name}: tables have a column of their own called {name!r}")
    try:
        params = found.params
        del params["model"]
        pipeline = Extraction(asked.name, layers, params, [Step.of("l2")] if l2 else [])
    except ValueError as error:
        raise UsageError(f"--layer: {error}") from error
    if not settings.printing.quiet:
        say_raw(found, "features")
    execute(pipeline, settings, table=Table(always=True))


command = Command(
    "features",
    __doc__,
    [
        *input_options(),
        *model_options("labels"),
        options.Grouped(
            ["--layer"],
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
