"""The options of `train`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from featcli.cli import options
from featcli.models.learning.architectures import DEFAULT, NAMED
from featcli.models.learning.augmentation import parse_augmentation
from featcli.ops.resizing import parse_size

Callback = Callable[[click.Context, click.Parameter, str | None], str | None]


def _parsed(parse: Callable[[str], Any]) -> Callback:
    """Check a text by the function that will read it."""

    def callback(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
        if value is not None:
            try:
                parse(value)
            except ValueError as error:
                raise click.BadParameter(str(error)) from error
        return value

    return callback


class _Number(click.FloatRange):
    """A number from `low` on, or above it, and below `high`."""

    def __init__(self, low: float, high: float, above: bool = False) -> None:
        super().__init__(low, high, min_open=above, max_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is not a number, which lies in every range."""
        found = super().convert(value, param, ctx)
        if found != found:
            self.fail(f"{value!r} is not a number", param, ctx)
        return found


def recipe() -> list[click.Parameter]:
    """What is trained, and how."""
    grouped = options.Grouped
    return [
        grouped(
            ["--arch"],
            metavar="TEXT|NAME",
            help=f"The network: {', '.join(NAMED)}, or its text.  [default: {DEFAULT}]",
        ),
        grouped(
            ["--epochs"],
            type=click.IntRange(1, 100_000),
            metavar="N",
            default=10,
            show_default=True,
            help="How often every image is learned from.",
        ),
        grouped(
            ["--batch-size"],
            type=click.IntRange(1, 65536),
            metavar="N",
            default=64,
            show_default=True,
            help="Images in each step.",
        ),
        grouped(
            ["--lr"],
            type=_Number(0, 1000, True),
            metavar="X",
            help="The learning rate at the beginning.  [default: 0.002 for adam, 0.05 for sgd]",
        ),
        grouped(
            ["--optimizer"],
            **options.choice(["adam", "sgd"]),
            default="adam",
            show_default=True,
            help="How gradients become steps.",
        ),
        grouped(
            ["--momentum"],
            type=_Number(0, 1),
            metavar="X",
            default=0.9,
            show_default=True,
            help="Of sgd: how much of the last step goes on.",
        ),
        grouped(
            ["--weight-decay"],
            type=_Number(0, 10),
            metavar="X",
            default=0.0,
            show_default=True,
            help="How strongly weights are drawn to zero.",
        ),
        grouped(
            ["--schedule"],
            **options.choice(["cosine", "step", "constant"]),
            default="cosine",
            show_default=True,
            help="The rate in time: down along half a wave, to a tenth after each third, or "
            "the same.",
        ),
        grouped(
            ["--seed"],
            type=click.IntRange(0, 2**32 - 1),
            metavar="N",
            default=0,
            show_default=True,
            help="Of all that is random.",
        ),
        grouped(
            ["--val-split"],
            type=_Number(0, 1),
            metavar="X",
            default=0.1,
            show_default=True,
            help="The share of each class that is measured with, not learned from.",
        ),
        grouped(
            ["--augment"],
            metavar="TEXT",
            default="none",
            show_default=True,
            callback=_parsed(parse_augmentation),
            help="Change images at random: shift=PIXELS, rotate=DEGREES, scale=SHARE, flip, "
            "separated by commas.",
        ),
    ]


def data() -> list[click.Parameter]:
    """What it learns from, and what is there before it."""
    grouped = options.Grouped
    return [
        grouped(
            ["--size"],
            metavar="N|RxC",
            group="Input",
            callback=_parsed(parse_size),
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
        grouped(
            ["--strict"],
            is_flag=True,
            group="Input",
            help="Refuse the data for one image that cannot be read.",
        ),
        grouped(
            ["--from", "base"],
            metavar="MODEL",
            group="Model",
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
            help="Learn from the answers of fixed kernels: bank, or names of 'featcli kernels'.",
        ),
    ]


def outputs() -> list[click.Parameter]:
    """What is left of it."""
    grouped = options.Grouped
    return [
        grouped(
            ["-o", "--output"],
            metavar="FILE.npz",
            required=True,
            group="Output",
            help="The model's file.",
        ),
        grouped(
            ["--history"], metavar="FILE", group="Output", help="A line of JSON for every epoch."
        ),
        grouped(
            ["--report"],
            metavar="DIR",
            group="Output",
            help="History, curves, the first layer's filters before and after, and the "
            "confusion matrix.",
        ),
        grouped(
            ["--trace-step"],
            type=click.IntRange(1),
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
        grouped(["--overwrite"], is_flag=True, group="Output", help="Replace what is there."),
    ]
