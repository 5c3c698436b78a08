"""What `classify` and `features` share: the model, how it wants images, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, get_args

import click

from featcli.cli import completions, options
from featcli.cli.messages import say
from featcli.errors import UsageError
from featcli.models.files import ModelError
from featcli.models.loading import DEFAULT, Device, Engine, load_model
from featcli.models.model import GIVEN, Model
from featcli.models.network import sizes
from featcli.models.pixels import likely_preprocessings
from featcli.models.references import parted
from featcli.models.sidecar import place


class Asked(NamedTuple):
    """Which network, and what completes it: `model_options`, `completing`."""

    model: str | None = None
    labels: str | None = None
    preprocessing: str | None = None
    input_shape: str = ""
    engine: str = "auto"
    device: str = "cpu"

    @property
    def name(self) -> str:
        """The model's name or path."""
        return DEFAULT if self.model is None else self.model


def model_options(*without: str) -> list[click.Parameter]:
    """Which network, and what completes it."""
    grouped = options.Grouped
    return [
        grouped(
            ["--model"],
            shell_complete=completions.models,
            metavar="NAME|PATH",
            default=DEFAULT,
            show_default=True,
            group="Model",
            help="A model that ships with featcli, or a model file (.npz, or .onnx with the extra "
            "onnx).",
        ),
        *completing(*without),
        *engine_options(),
    ]


def engine_options() -> list[click.Parameter]:
    """What runs the network, and where."""
    return [
        options.Grouped(
            ["--engine"],
            **options.choice(get_args(Engine)),
            default="auto",
            show_default=True,
            group="Model",
            help="auto is featcli itself, but for an .onnx; onnxruntime runs any model (with the "
            "extra onnx).",
        ),
        options.Grouped(
            ["--device"],
            **options.choice(get_args(Device)),
            default="cpu",
            show_default=True,
            group="Model",
            help="Where onnxruntime runs it; cuda needs onnxruntime-gpu.",
        ),
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
        options.input_shape(),
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


def opened(asked: Asked, option: str = "--model") -> Model:
    """Load the model with what completes it; raises UsageError for what there is not."""
    model = _blamed(option, asked.name)
    given: dict[str, str] = {}
    for name in ("input_shape", "engine", "device", "preprocessing", "labels"):
        value = getattr(asked, name)
        if value and value != GIVEN[name]:
            given[name] = value
            model = _blamed("--" + name.replace("_", "-"), asked.name, **given)
    return model


def check_classifies(model: Model) -> None:
    """Raise UsageError unless it is known to give one value for each class."""
    name = parted(model.reference)[0]
    network = model.description.network
    if not network.shape:
        example = [n or usual for n, usual in zip(network.input, (224, 224, 3), strict=False)]
        raise UsageError(
            f"--model {name}: the size of its input is open ({sizes(network.input)}): give "
            f'--input-shape {sizes(example)}, or write {{"input": {example}}} into '
            f"{place(Path(name))}"
        )
    try:
        model.check_classifies()
    except ValueError as error:
        raise UsageError(f"--model {name}: {error}") from None


def say_raw(model: Model, command: str) -> None:
    """Say that pixels go in as they are, where nobody has said what the network wants."""
    found = model.description
    if found.preprocessing or not found.network.is_raw or len(found.network.input) != 3:
        return
    say(
        f"{parted(model.reference)[0]} does not say what becomes of a picture first: its pixels go "
        "in as they are, 0 to 255. Most networks want one of these:",
        command=command,
    )
    for name, text in likely_preprocessings(found.network.input).items():
        say(f'  --preprocessing "{text}"  ({name})', command=command)


def _blamed(option: str, name: str, **given: str) -> Model:
    """Load the model; what cannot be is this option's fault, but for a file that is broken."""
    try:
        return load_model(name, **given)
    except ModelError:
        raise
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
