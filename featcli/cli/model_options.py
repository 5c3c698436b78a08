"""The options that choose a model, and loading it: for `classify`, `features`, `explain`, ..."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, get_args

import click

from featcli.cli import checks, completions, options
from featcli.cli.messages import say
from featcli.errors import UsageError
from featcli.models.files import ModelError
from featcli.models.loading import DEFAULT, Device, Engine, load_model
from featcli.models.model import GIVEN, Model
from featcli.models.network import sizes
from featcli.models.pixels import likely_preprocessings
from featcli.models.references import parted
from featcli.models.sidecar import place


class ModelChoice(NamedTuple):
    """The values of `model_options`: a model, and metadata that completes or replaces its own."""

    model: str | None = None
    labels: str | None = None
    preprocessing: str | None = None
    input_shape: str | None = None
    engine: str = "auto"
    device: str = "cpu"

    @property
    def name(self) -> str:
        """Name or path of the model."""
        return DEFAULT if self.model is None else self.model


def model_argument(text: str) -> click.Parameter:
    """Return the argument MODEL."""
    complete = completions.models
    return options.Argument("model", text, metavar="MODEL", shell_complete=complete)


def model_options() -> list[click.Parameter]:
    """Return the options that choose a model."""
    return options.under(
        "Model",
        options.Option(
            "--model",
            shell_complete=completions.models,
            metavar="NAME|PATH",
            default=DEFAULT,
            help="The name of an included model, or a model file (.npz, or .onnx with the extra "
            "onnx).",
        ),
        *metadata_options(),
        *engine_options(),
    )


def engine_options() -> list[click.Parameter]:
    """Return the options for the engine that runs the network."""
    return options.under(
        "Model",
        options.Option(
            "--engine",
            **options.choice(get_args(Engine)),
            default="auto",
            help="What runs the network. auto: onnxruntime for .onnx files, otherwise featcli; "
            "onnxruntime: also for other models (with the extra onnx).",
        ),
        options.Option(
            "--device",
            **options.choice(get_args(Device)),
            default="cpu",
            help="The device for onnxruntime; cuda needs the package onnxruntime-gpu.",
        ),
    )


@checks.callback
def _not_empty(value: str) -> str:
    """Refuse an empty pipeline, which would mean the model's own."""
    if not value:
        raise ValueError("is empty: name a stage, such as crop 224")
    return value


def metadata_options() -> list[click.Parameter]:
    """Return the options that complete or replace the metadata of a model."""
    return options.under(
        "Model",
        options.path(
            "--labels",
            metavar="FILE",
            help="A file with the class names, to use instead of the model's own: one name per "
            "line, or a JSON list (.json).",
        ),
        options.Option(
            "--preprocessing",
            metavar="PIPELINE",
            shell_complete=completions.pipeline,
            callback=_not_empty,
            help="The pipeline that prepares images for the network, to use instead of the model's "
            "own, such as 'resize 256 | crop 224 | normalize 127 128'.",
        ),
        options.input_shape(),
    )


def open_model(asked: ModelChoice, option: str = "--model") -> Model:
    """Load the model; raises UsageError that names the option with a wrong value."""
    model = _load_for(option, asked.name)
    given: dict[str, str] = {}
    for name in ("input_shape", "engine", "device", "preprocessing", "labels"):
        value = getattr(asked, name)
        if value and value != GIVEN[name]:
            given[name] = value
            model = _load_for("--" + name.replace("_", "-"), asked.name, **given)
    return model


def check_classifies(model: Model) -> None:
    """Raise UsageError unless the model is known to output one value for each class."""
    name = parted(model.reference)[0]
    network = model.description.network
    if not network.shape:
        example = [n or usual for n, usual in zip(network.input, (224, 224, 3), strict=False)]
        raise UsageError(
            f"--model {name}: its input size is not fixed ({sizes(network.input)}): give "
            f'--input-shape {sizes(example)}, or write {{"input": {example}}} into '
            f"{place(Path(name))}"
        )
    try:
        model.check_classifies()
    except ValueError as error:
        raise UsageError(f"--model {name}: {error}") from None


def warn_raw_pixels(model: Model) -> None:
    """Warn that pixels are not preprocessed if the model does not define how."""
    found = model.description
    if found.preprocessing or not found.network.is_raw or len(found.network.input) != 3:
        return
    say(
        f"{parted(model.reference)[0]} does not contain its preprocessing: pixels are passed to it "
        "unchanged, as 0 to 255. Most networks expect one of these:"
    )
    for name, text in likely_preprocessings(found.network.input).items():
        say(f'  --preprocessing "{text}"  ({name})')


def _load_for(option: str, name: str, **given: str) -> Model:
    """Load the model; a wrong value is a UsageError naming `option`, a broken file a ModelError."""
    try:
        return load_model(name, **given)
    except ModelError:
        raise
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
