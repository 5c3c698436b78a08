"""What `classify` and `features` share: the model, how it wants images, and their options."""

from __future__ import annotations

from dataclasses import replace

import click

from featcli.cli import options
from featcli.cli.execute import Settings, read_options
from featcli.errors import UsageError
from featcli.io.options import ReadOptions
from featcli.models.files import Description, ModelError
from featcli.models.model import DEFAULT, Model, load_model


def model_options() -> list[click.Parameter]:
    """Which network."""
    grouped = options.Grouped
    return [
        grouped(
            ["--model"],
            metavar="NAME|PATH",
            default=DEFAULT,
            show_default=True,
            group="Model",
            help="A model that ships with featcli, or a model file (.npz, or .onnx with the extra "
            "onnx).",
        ),
    ]


def input_options() -> list[click.Parameter]:
    """How inputs are read; the model says in which range it takes pixels."""
    found = [one for one in options.inputs() if one.name not in ("unit", "decode")]
    return [*found, options.decode("fast")]


def output_options(*without: str) -> list[click.Parameter]:
    """Where results go."""
    return [one for one in options.outputs() if one.name not in without]


def opened(settings: Settings, option: str = "--model") -> Model:
    """Load the model and complete the settings; raises UsageError for one that is not there."""
    settings.setdefault("unit", False)
    try:
        return load_model(settings["model"])
    except ModelError:
        raise
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def reading(settings: Settings, about: Description) -> ReadOptions:
    """Read images in the range that the model takes, and no larger than it needs."""
    found = read_options(settings)
    reduced = about.reduced_decoding if settings["decode"] == "fast" else 0
    return replace(found, unit=about.range == 1, as_bytes=about.range == 255, reduced=reduced)
