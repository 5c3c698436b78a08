"""The options of `train`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import click

from featcli.cli import completions, options
from featcli.cli.checks import Callback, callback
from featcli.models.learning.architectures import DEFAULT, NAMED
from featcli.models.learning.checks import Flag, Number, OneOf, Rule, Text, Whole
from featcli.models.learning.descent import Name, Schedule
from featcli.models.learning.training import Keep, Recipe
from featcli.ops.resizing import parse_size
from featcli.training.options import RECIPE, Channels, check_size


class Settings(NamedTuple):
    """The values of the options of `train`; None for options that were not given."""

    data: str
    output: str
    arch: str | None
    epochs: int
    batch_size: int
    lr: float | None
    optimizer: Name
    momentum: float
    weight_decay: float
    schedule: Schedule
    seed: int
    val_split: float
    augment: str
    balance: bool
    keep: Keep | None
    patience: int | None
    size: str | None
    channels: Channels
    strict: bool
    base: str | None
    head_only: bool
    kernels: str | None
    history: str | None
    report: str | None
    trace_step: int | None
    resume: bool
    overwrite: bool
    quiet: bool


def _text(*checks: Callable[[str], object]) -> Callback:
    """Return a callback that refuses empty text, and text that one of `checks` refuses."""

    def checked(value: str) -> str:
        if not value.strip():
            raise ValueError("is empty: give a value, or leave out the option")
        for check in checks:
            check(value)
        return value

    return callback(checked)


class _Whole(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


def _settings_for(rule: Rule) -> dict[str, Any]:
    """Return the Click settings that enforce a rule."""
    match rule:
        case Whole(low, high):
            return {"type": _Whole(low, high)}
        case Number():
            kind = options.Range(rule.low, rule.high, min_open=rule.above, max_open=rule.below)
            return {"type": kind, "metavar": "X"}
        case OneOf(values):
            return options.choice(values)
        case Flag():
            return {"is_flag": True}
        case Text(parse):
            return {"callback": _text(parse), "metavar": "TEXT"}
    raise TypeError(f"no option for {rule!r}")


def _option(name: str, text: str, **settings: Any) -> click.Parameter:
    """Return an option for a field of `Recipe`, with the default and the rule of that field."""
    default = {"default": getattr(Recipe, name), "show_default": True}
    given = default | _settings_for(RECIPE[name]) | settings
    return options.Option(f"--{name.replace('_', '-')}", help=text, **given)


def recipe() -> list[click.Parameter]:
    """Return the options of the network and its training."""
    unset = {"default": None, "show_default": False}
    return [
        options.Option(
            "--arch",
            metavar="TEXT|NAME",
            shell_complete=completions.networks,
            callback=_text(),
            help=f"The network: {', '.join(NAMED)}, or a pipeline of layers.  [default: {DEFAULT}]",
        ),
        _option("epochs", "Number of passes over the training images."),
        _option("batch_size", "Number of images in a step of gradient descent."),
        _option(
            "lr",
            "Initial learning rate.  [default: 0.002 for adam, 0.05 for sgd]",
            **unset,
        ),
        _option("optimizer", "The optimization algorithm."),
        _option("momentum", "Momentum of sgd: the share of the previous step that is added."),
        _option("weight_decay", "How strongly weights are pulled towards zero in each step."),
        _option(
            "schedule",
            "How the learning rate changes. cosine: falls along half a cosine wave; step: is "
            "divided by 10 after each third of the epochs; constant: stays.",
        ),
        _option("seed", "The seed of the random numbers."),
        _option("val_split", "Share of the images of each class to use for validation only."),
        _option(
            "augment",
            "Random changes of the training images, separated by commas: shift=PIXELS, "
            "rotate=DEGREES, scale=SHARE, flip.",
        ),
        _option(
            "balance",
            "Weight all classes equally, however many images each has.",
            show_default=False,
        ),
        _option(
            "keep",
            "Which epoch to save as the model: the last one, or the one with the smallest "
            "validation loss.  [default: last; with --patience: best]",
            **unset,
        ),
        _option(
            "patience",
            "Stop early after N epochs without a smaller validation loss.",
            type=_Whole(1, 100_000),
            **unset,
        ),
    ]


def dataset(text: str) -> click.Parameter:
    """Return the argument DATA."""
    complete = completions.data_sets
    return options.Argument("data", text, metavar="DATA", shell_complete=complete)


def strict() -> click.Parameter:
    """Return the option --strict."""
    return options.flag(
        "--strict",
        group="Input",
        help="Stop if an image cannot be read, instead of leaving it out.",
    )


def data() -> list[click.Parameter]:
    """Return the options for the training images, and for the layers that are not trained."""
    return [
        options.Option(
            "--size",
            metavar="N|RxC",
            group="Input",
            callback=_text(parse_size, check_size),
            help="Resize images. N: the middle NxN pixels, after resizing; RxC: the whole image, "
            "to R rows and C columns.",
        ),
        options.Option(
            "--channels",
            **options.choice(["auto", "gray", "RGB"]),
            default="auto",
            group="Input",
            help="Convert images to grey or RGB; auto: like the first image.",
        ),
        strict(),
        options.Option(
            "--from",
            "base",
            shell_complete=completions.models,
            metavar="MODEL",
            group="Model",
            callback=_text(),
            help="Transfer learning: take all layers before the last dense one from this model.",
        ),
        options.flag("--head-only", group="Model", help="With --from: train only the last layer."),
        options.Option(
            "--kernels",
            metavar="bank|NAME,...",
            group="Model",
            callback=_text(),
            help="Begin the network with fixed kernels: bank (a standard set), or names from "
            "'featcli kernels'.",
        ),
    ]


def report(text: str) -> click.Parameter:
    """Return the option for a folder of pictures and tables."""
    return options.path("--report", metavar="DIR", help=text)


def outputs() -> list[click.Parameter]:
    """Return the options for what is written."""
    return [
        options.output(
            "The model file to write.",
            metavar="FILE.npz",
            required=True,
        ),
        options.path(
            "--history",
            metavar="FILE",
            help="Write loss and accuracy of every epoch as JSON lines.",
        ),
        report(
            "Write the history, learning curves, filters of the first layer (before, after, the "
            "difference, and an animated PNG), and the confusion matrix into this folder."
        ),
        options.Option(
            "--trace-step",
            type=_Whole(1),
            group="Output",
            help="Print what happens in step N of the training, in numbers.",
        ),
        options.flag(
            "--resume", group="Output", help="Continue from the checkpoint beside the model."
        ),
        options.overwrite(),
    ]
