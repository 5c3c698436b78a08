"""What `classify` and `features` share: the model, how it wants images, and their options."""

from __future__ import annotations

import click

from featcli.cli import options
from featcli.errors import UsageError
from featcli.models.files import ModelError
from featcli.models.model import DEFAULT, Model, load_model


def model_options(*without: str) -> list[click.Parameter]:
    """Which network, and what completes it."""
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
        *completing(*without),
    ]


def completing(*without: str) -> list[click.Parameter]:
    """What a model does not say itself, or is to say otherwise."""
    grouped = options.Grouped
    found = [
        options.place(
            "--labels",
            metavar="FILE",
            group="Model",
            help="The names of the classes, instead of the model's own: text with a name a line, "
            "or a JSON list (.json).",
        ),
        grouped(
            ["--preprocessing"],
            metavar="PIPELINE",
            callback=_stated,
            group="Model",
            help="From an image to what the network takes, instead of the model's own: such as "
            "'resize 256 | crop 224 | normalize 127 128'.",
        ),
    ]
    return [one for one in found if one.name not in without]


def input_options() -> list[click.Parameter]:
    """How inputs are read; the model says in which range it takes pixels."""
    found = options.inputs()
    return [one for one in found if one.name != "unit"]


def output_options(*without: str) -> list[click.Parameter]:
    """Where results go."""
    return [one for one in options.outputs() if one.name not in without]


def _stated(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Refuse nothing as a pipeline, which would leave the model's own."""
    if value == "":
        raise click.BadParameter("is empty: name a stage, such as crop 224")
    return value


def opened(
    name: str, labels: str | None = None, preprocessing: str | None = None, option: str = "--model"
) -> Model:
    """Load the model with what completes it; raises UsageError for what there is not."""
    model = _blamed(option, name)
    if preprocessing:
        model = _blamed("--preprocessing", name, preprocessing=preprocessing)
    if labels:
        given = {"preprocessing": model.params["preprocessing"], "labels": labels}
        model = _blamed("--labels", name, **given)
    return model


def _blamed(option: str, name: str, **given: str) -> Model:
    """Load the model; what cannot be is this option's fault, but for a file that is broken."""
    try:
        return load_model(name, **given)
    except ModelError:
        raise
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
