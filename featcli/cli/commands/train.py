"""Learn a network's numbers from images: guess, loss, gradients, descent.

DATA is a folder with a subfolder of images for each class, idx files (MNIST's format, also .gz)
or a folder of them, an .npz file with x (n, rows, cols[, channels]) and y (n,), or digits: 5,000
handwritten digits that ship with featcli.

--arch is a network in the pipeline grammar that ends in 'dense N | softmax' (or '| sigmoid'), or
the name of one: dense (a plain network on flattened pixels), lenet, tiny-vgg. The model that
comes of it is a file for classify, features, info and evaluate. After every epoch it is written,
with a checkpoint beside it: Ctrl-C leaves the model of the last epoch, and --resume goes on to
the very bytes that an uninterrupted run would have given. Equal seeds give equal models.

With few images of your own, let the network that ships see for you and learn the last layer
alone: --from imagenet --head-only. With --kernels, fixed filters see for it.

Examples
--------
A network that reads digits, and the same with small changes of every image:

    featcli train digits -o digits.npz --epochs 1
    featcli train digits -o digits.npz --epochs 1 --augment shift=2,rotate=10,scale=0.1

A network of your own, with curves, filters and confusion matrix in report/:

    featcli train digits -o own.npz --epochs 1 --arch "conv 8 3 | relu | pool 2 | conv 16 3 | relu | pool 2 | flatten | dense 10 | softmax" --report report

What a single step does, told in numbers:

    featcli train digits -o plain.npz --epochs 1 --arch dense --trace-step 1

Photos of your own, on what the shipped network knows of pictures:

    featcli train animals -o animals.npz --from imagenet --head-only --epochs 5

A classifier on the answers of fixed kernels:

    featcli train digits -o edges.npz --epochs 1 --kernels bank
"""  # noqa: E501

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.messages import emit, say
from featcli.errors import UsageError
from featcli.io.outputs import check_folder
from featcli.models.learning import checkpoint
from featcli.models.learning.architectures import DEFAULT, NAMED
from featcli.models.learning.augmentation import parse_augmentation
from featcli.models.learning.descent import RATES
from featcli.models.learning.tracing import Told, Tracer, lines
from featcli.models.learning.training import Recipe
from featcli.ops.resizing import parse_size
from featcli.training.options import Options

_RECIPE = (
    "arch", "epochs", "batch_size", "lr", "optimizer", "momentum", "weight_decay", "schedule",
    "seed", "val_split", "augment",
)  # fmt: skip
_OTHERS = ("size", "channels", "base", "kernels", "strict")


def _train(**given: Any) -> None:
    from featcli.training import reports
    from featcli.training.session import Session

    output = _checked_output(given)
    found, going_on = _options(given, output)
    report = Path(given["report"]) if given["report"] else None
    history = Path(given["history"]) if given["history"] else None
    _check_free(given, output, history, report, going_on is not None)
    session = Session(found, output)
    if going_on:
        session.resume(going_on)
    if not given["quiet"]:
        for text in (*session.notes, *session.describe()):
            say(text, command="train")
    _run(session, given, history)
    if report:
        reports.write_training(report, session)
    emit(str(output))
    if session.dataset.skipped:
        raise click.exceptions.Exit(1)


def _run(session: Any, given: dict[str, Any], history: Path | None) -> None:
    """Train with what a person sees of it."""
    from featcli.cli.watching import watching
    from featcli.training import reports

    def told(told: Told) -> None:
        for text in lines(told, session.names, session.options.recipe.optimizer):
            click.echo(text, err=True)

    tracer = Tracer(given["trace_step"], told) if given["trace_step"] else None
    with watching(session, given["quiet"]) as screen:

        def after(epoch: Any) -> None:
            screen.tell(epoch)
            if history:
                reports.write_history(history, session.training.history)

        try:
            session.run(after, screen.watch, tracer)
        except (KeyboardInterrupt, SystemExit):
            screen.stop()
            kept = f"stopped: {session.kept()}; --resume goes on"
            say(kept, command="train")
            raise


def _checked_output(given: dict[str, Any]) -> Path:
    output = Path(given["output"])
    if output.suffix != ".npz":
        raise UsageError(f"-o {output}: a model's file ends in .npz")
    if output.is_dir():
        raise UsageError(f"-o {output}: is a folder")
    check_folder(output.parent)
    if given["head_only"] and not given["base"]:
        raise UsageError("--head-only: needs --from MODEL, whose other layers stay as they are")
    if given["base"] and not given["head_only"]:
        raise UsageError("--from: needs --head-only: the layers of the model stay as they are")
    return output


def _options(given: dict[str, Any], output: Path) -> tuple[Options, checkpoint.Checkpoint | None]:
    """Collect the options, or take those of the checkpoint."""
    path = checkpoint.path_beside(output)
    if not given["resume"]:
        return _from_command(given), None
    if not path.exists():
        finished = f"; {output} is finished" if output.exists() else ""
        raise UsageError(f"--resume: there is no checkpoint {path}{finished}")
    found = checkpoint.load(path)
    try:
        kept = Options.from_json(given["data"], dict(found.options))
    except (TypeError, KeyError, ValueError) as error:
        raise checkpoint.CheckpointError(f"{path}: no sound checkpoint: {error}") from error
    _check_same(given, kept)
    return kept, found


def _from_command(given: dict[str, Any]) -> Options:
    on_trunk = bool(given["base"] or given["kernels"])
    values = {name: given[name] for name in _RECIPE}
    values["lr"] = RATES[given["optimizer"]] if given["lr"] is None else given["lr"]
    values["arch"] = given["arch"] or ("" if on_trunk else DEFAULT)
    _check_trunk(given)
    others: dict[str, Any] = {name: given[name] or "" for name in ("size", "base", "kernels")}
    others |= {name: given[name] for name in ("channels", "strict")}
    return Options(given["data"], Recipe(**values), **others)


def _check_trunk(given: dict[str, Any]) -> None:
    if given["base"] and given["kernels"]:
        raise UsageError("--kernels: either these or the layers of --from come first, not both")
    for name in ("size", "augment"):
        if given["base"] and given[name] not in ("", None, "none"):
            raise UsageError(f"--{name}: the model of --from says itself what it takes")
    if given["kernels"] and given["augment"] != "none":
        raise UsageError("--augment: the answers of --kernels are computed once for each image")


def _check_same(given: dict[str, Any], kept: Options) -> None:
    """Refuse an option that was given and is not what the checkpoint was made with."""
    context = click.get_current_context()
    for name in (*_RECIPE, *_OTHERS):
        then = getattr(kept.recipe if name in _RECIPE else kept, name)
        typed = context.get_parameter_source(name) == ParameterSource.COMMANDLINE
        if typed and given[name] != then:
            option = "from" if name == "base" else name.replace("_", "-")
            raise UsageError(
                f"--{option}: the checkpoint was made with {then!r}, not {given[name]!r}: leave "
                "it out, or begin anew with --overwrite"
            )


def _check_free(
    given: dict[str, Any], output: Path, history: Path | None, report: Path | None, resumed: bool
) -> None:
    from featcli.training import reports

    paths = [output, checkpoint.path_beside(output)]
    if report:
        names = (reports.HISTORY, reports.CURVES, reports.FILTERS, *reports.CONFUSION)
        paths += [report / name for name in names]
    paths += [history] if history else []
    reports.check_free(paths, given["overwrite"] or resumed)


def _parsed(parse: Any) -> Any:
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


def _options_of_recipe() -> list[click.Parameter]:
    grouped = options.Grouped
    return [
        grouped(
            ["--arch"],
            metavar="TEXT|NAME",
            help=f"The network: {', '.join(NAMED)}, or its text.  [default: {DEFAULT}]",
        ),
        grouped(["--epochs"], type=click.IntRange(1, 100_000), metavar="N", default=10,
                show_default=True, help="How often every image is learned from."),
        grouped(["--batch-size"], type=click.IntRange(1, 65536), metavar="N", default=64,
                show_default=True, help="Images in each step."),
        grouped(["--lr"], type=_Number(0, 1000, True), metavar="X",
                help="The learning rate at the beginning.  [default: 0.002 for adam, 0.05 for "
                "sgd]"),
        grouped(["--optimizer"], **options.choice(["adam", "sgd"]), default="adam",
                show_default=True, help="How gradients become steps."),
        grouped(["--momentum"], type=_Number(0, 1), metavar="X", default=0.9, show_default=True,
                help="Of sgd: how much of the last step goes on."),
        grouped(["--weight-decay"], type=_Number(0, 10), metavar="X", default=0.0,
                show_default=True, help="How strongly weights are drawn to zero."),
        grouped(["--schedule"], **options.choice(["cosine", "step", "constant"]),
                default="cosine", show_default=True,
                help="The rate in time: down along half a wave, to a tenth after each third, or "
                "the same."),
        grouped(["--seed"], type=click.IntRange(0, 2**32 - 1), metavar="N", default=0,
                show_default=True, help="Of all that is random."),
        grouped(["--val-split"], type=_Number(0, 1), metavar="X", default=0.1, show_default=True,
                help="The share of each class that is measured with, not learned from."),
        grouped(["--augment"], metavar="TEXT", default="none", show_default=True,
                callback=_parsed(parse_augmentation),
                help="Change images at random: shift=PIXELS, rotate=DEGREES, scale=SHARE, flip, "
                "separated by commas."),
    ]  # fmt: skip


def _options_of_data() -> list[click.Parameter]:
    grouped = options.Grouped
    return [
        grouped(["--size"], metavar="N|RxC", group="Input", callback=_parsed(parse_size),
                help="Bring images to a size: N is the middle, RxC the whole of the picture."),
        grouped(["--channels"], **options.choice(["auto", "gray", "RGB"]), default="auto",
                show_default=True, group="Input", help="auto: as the first image has them."),
        grouped(["--strict"], is_flag=True, group="Input",
                help="Refuse the data for one image that cannot be read."),
        grouped(["--from", "base"], metavar="MODEL", group="Model",
                help="Take the layers before the last dense one from a model."),
        grouped(["--head-only"], is_flag=True, group="Model",
                help="With --from: those layers stay as they are."),
        grouped(["--kernels"], metavar="bank|NAME,...", group="Model",
                help="Learn from the answers of fixed kernels: bank, or names of 'featcli "
                "kernels'."),
    ]  # fmt: skip


def _options_of_output() -> list[click.Parameter]:
    grouped = options.Grouped
    return [
        grouped(["-o", "--output"], metavar="FILE.npz", required=True, group="Output",
                help="The model's file."),
        grouped(["--history"], metavar="FILE", group="Output",
                help="A line of JSON for every epoch."),
        grouped(["--report"], metavar="DIR", group="Output",
                help="History, curves, the first layer's filters before and after, and the "
                "confusion matrix."),
        grouped(["--trace-step"], type=click.IntRange(1), metavar="N", group="Output",
                help="Tell what one step does, in numbers."),
        grouped(["--resume"], is_flag=True, group="Output",
                help="Go on from the checkpoint beside the model."),
        grouped(["--overwrite"], is_flag=True, group="Output", help="Replace what is there."),
    ]  # fmt: skip


command = Command(
    "train",
    __doc__,
    [
        options.Described("data", "What to learn from; see above.", metavar="DATA"),
        *_options_of_recipe(),
        *_options_of_data(),
        *_options_of_output(),
        options.quiet(),
        options.debug(),
    ],
    callback=_train,
)
