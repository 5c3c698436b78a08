"""The options of `train`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import click

from featcli.cli import completions, options
from featcli.models.learning.architectures import DEFAULT, NAMED
from featcli.models.learning.checks import Flag, Number, OneOf, Rule, Text, Whole
from featcli.models.learning.descent import Name, Schedule
from featcli.models.learning.training import Keep, Recipe
from featcli.ops.resizing import parse_size
from featcli.training.options import RECIPE, Channels, check_size


class Settings(NamedTuple):
    """What `train` was told: `recipe`, `data` and `outputs`; None for what was not said."""

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


Callback = Callable[[click.Context, click.Parameter, str | None], str | None]


def _parsed(*checks: Callable[[str], object]) -> Callback:
    """Check a text by the functions that will read it; one without a word is never meant."""

    def callback(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
        if value is not None:
            if not value.strip():
                raise click.BadParameter("is empty: leave the option out, or give it a value")
            try:
                for check in checks:
                    check(value)
            except ValueError as error:
                raise click.BadParameter(str(error)) from error
        return value

    return callback


class _Whole(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


class _Number(options.Range):
    """A number in the range of a rule."""

    def __init__(self, rule: Number) -> None:
        super().__init__(rule.low, rule.high, min_open=rule.above, max_open=rule.below)


def _settings(rule: Rule) -> dict[str, Any]:
    """What Click needs to hold an option to a rule."""
    match rule:
        case Whole(low, high):
            return {"type": _Whole(low, high), "metavar": "N"}
        case Number():
            return {"type": _Number(rule), "metavar": "X"}
        case OneOf(values):
            return options.choice(values)
        case Flag():
            return {"is_flag": True}
        case Text(parse):
            return {"callback": _parsed(parse), "metavar": "TEXT"}
    raise TypeError(f"no option for {rule!r}")


def _chosen(name: str, text: str, **settings: Any) -> click.Parameter:
    """An option of `Recipe`, which knows its default, and what it may be."""
    default = {"default": getattr(Recipe, name), "show_default": True}
    given = default | _settings(RECIPE[name]) | settings
    return options.Grouped([f"--{name.replace('_', '-')}"], help=text, **given)


def recipe() -> list[click.Parameter]:
    """What is trained, and how."""
    unset = {"default": None, "show_default": False}
    return [
        options.Grouped(
            ["--arch"],
            metavar="TEXT|NAME",
            callback=_parsed(),
            help=f"The network: {', '.join(NAMED)}, or its text.  [default: {DEFAULT}]",
        ),
        _chosen("epochs", "How often every image is learned from."),
        _chosen("batch_size", "Images in each step."),
        _chosen(
            "lr",
            "The learning rate at the beginning.  [default: 0.002 for adam, 0.05 for sgd]",
            **unset,
        ),
        _chosen("optimizer", "How gradients become steps."),
        _chosen("momentum", "Of sgd: how much of the last step goes on."),
        _chosen("weight_decay", "How strongly weights are drawn to zero."),
        _chosen(
            "schedule",
            "The rate in time: down along half a wave, to a tenth after each third, or the same.",
        ),
        _chosen("seed", "Of all that is random."),
        _chosen("val_split", "The share of each class that is measured with, not learned from."),
        _chosen(
            "augment",
            "Change images at random: shift=PIXELS, rotate=DEGREES, scale=SHARE, flip, "
            "separated by commas.",
        ),
        _chosen(
            "balance",
            "Every class counts the same, however many images it has.",
            show_default=False,
        ),
        _chosen(
            "keep",
            "Which epoch becomes the model: the last one, or the one with the smallest loss of the "
            "validation.  [default: last; with --patience best]",
            **unset,
        ),
        _chosen(
            "patience",
            "Stop when no epoch was better than the best one for N epochs.",
            type=_Whole(1, 100_000),
            **unset,
        ),
    ]


def strict() -> click.Parameter:
    """What becomes of data with an image that cannot be read."""
    return options.Grouped(
        ["--strict"],
        is_flag=True,
        group="Input",
        help="Refuse the data for one image that cannot be read.",
    )


def data() -> list[click.Parameter]:
    """What it learns from, and what is there before it."""
    grouped = options.Grouped
    return [
        grouped(
            ["--size"],
            metavar="N|RxC",
            group="Input",
            callback=_parsed(parse_size, check_size),
            help="Bring images to a size: N is the middle, RxC the whole of the picture.",
        ),
        grouped(
            ["--channels"],
            **options.choice(["auto", "gray", "RGB"]),
            default="auto",
            show_default=True,
            group="Input",
            help="auto: as the first image has them.",
        ),
        strict(),
        grouped(
            ["--from", "base"],
            shell_complete=completions.models,
            metavar="MODEL",
            group="Model",
            callback=_parsed(),
            help="Take the layers before the last dense one from a model.",
        ),
        grouped(
            ["--head-only"],
            is_flag=True,
            group="Model",
            help="With --from: those layers stay as they are.",
        ),
        grouped(
            ["--kernels"],
            metavar="bank|NAME,...",
            group="Model",
            callback=_parsed(),
            help="Learn from the answers of fixed kernels: bank, or names of 'featcli kernels'.",
        ),
    ]


def report(text: str) -> click.Parameter:
    """Where pictures and tables go."""
    return options.place("--report", metavar="DIR", help=text)


def overwrite() -> click.Parameter:
    """Whether what is there may go."""
    return options.Grouped(
        ["--overwrite"], is_flag=True, group="Output", help="Replace what is there."
    )


def outputs() -> list[click.Parameter]:
    """What is left of it."""
    grouped = options.Grouped
    return [
        options.output(
            "The model's file.",
            metavar="FILE.npz",
            required=True,
        ),
        options.place(
            "--history",
            metavar="FILE",
            help="A line of JSON for every epoch.",
        ),
        report(
            "History, curves, the first layer's filters (before, after, the difference, and an "
            "animated PNG of how they were learned), and the confusion matrix."
        ),
        grouped(
            ["--trace-step"],
            type=_Whole(1),
            metavar="N",
            group="Output",
            help="Tell what one step does, in numbers.",
        ),
        grouped(
            ["--resume"],
            is_flag=True,
            group="Output",
            help="Go on from the checkpoint beside the model.",
        ),
        overwrite(),
    ]
