"""Train a neural network to classify images, and save it as a model file.

DATA is a folder with a subfolder of images for each class, idx files (MNIST's format, also .gz)
or a folder of them, an .npz file with x (n, rows, cols[, channels]) and y (n,), or digits: the
included 5,000 handwritten digits (for a folder of that name, give ./digits). Images are read
once, at the start, into a temporary file beside the model.

--arch is a network in the pipeline grammar that ends in 'dense N | softmax' (or '| sigmoid'), or a
named one: dense (a plain network on flattened pixels), lenet, tiny-vgg. The model file is for
classify, features, info and evaluate. It is written after every epoch, with a checkpoint beside it:
after Ctrl-C you have the model of the last complete epoch, and --resume continues to exactly the
model that an uninterrupted run would have given. The same seed gives the same model.

With --keep best, the model is that of the epoch with the smallest validation loss; with --patience
N, training stops after N epochs without improvement. --balance weights all classes equally, in the
validation loss, too.

An image that cannot be read is reported and left out; with --strict the whole data set is refused
instead. Exit codes: 0 success; 1 the model is complete but images were left out, or the training
failed; 2 wrong usage, nothing was started; 130 (Ctrl-C) or 143 (SIGTERM) interrupted.

With few images of your own, use transfer learning: --from imagenet --head-only keeps the layers of
the included network and trains only a new last layer. With --kernels, the network gets the feature
maps of fixed kernels.

For --head-only, DATA may also be a table made by 'featcli features FOLDER --label-from folder' with
the same model: the result is the same, and the images are not read again.

Examples
--------
A classifier for digits, and the same with data augmentation:

    featcli train digits -o digits.npz --epochs 1
    featcli train digits -o digits.npz --epochs 1 --augment shift=2,rotate=10,scale=0.1

A network of your own, with learning curves, filters and confusion matrix in report/:

    featcli train digits -o own.npz --epochs 1 --arch "conv 8 3 | relu | pool 2 | conv 16 3 | relu | pool 2 | flatten | dense 10 | softmax" --report report

At most 12 epochs; stop early after two epochs without improvement, and keep the best:

    featcli train digits -o best.npz --epochs 12 --patience 2 --lr 0.02

Explain a single step of the training in numbers:

    featcli train digits -o plain.npz --epochs 1 --arch dense --trace-step 1

Transfer learning with photos of your own:

    featcli train animals -o animals.npz --from imagenet --head-only --epochs 5

The same from a table of feature vectors:

    featcli features animals -o f.npz --label-from folder
    featcli train f.npz -o animals.npz --from imagenet --head-only --epochs 5

A classifier on the feature maps of fixed kernels:

    featcli train digits -o edges.npz --epochs 1 --kernels bank
"""  # noqa: E501

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from featcli.cli import options, train_options
from featcli.cli.command import Command
from featcli.cli.messages import emit, printable, say
from featcli.cli.train_options import Settings
from featcli.datasets.gathering import left_out
from featcli.datasets.idx import is_name
from featcli.datasets.opening import files_of
from featcli.errors import OutputExists, UsageError, WriteError
from featcli.io.atomic import check_free
from featcli.io.locks import alone
from featcli.io.sinks import check_folder
from featcli.models.learning import checkpoint
from featcli.models.learning.architectures import DEFAULT
from featcli.models.learning.descent import RATES
from featcli.models.learning.tracing import StepTrace, Tracer, lines
from featcli.models.learning.training import Recipe, Training
from featcli.training.options import RECIPE, Options

if TYPE_CHECKING:
    from featcli.training.session import Session

_OTHERS = ("size", "channels", "base", "kernels", "strict")


def _train(**given: Any) -> None:
    settings = Settings(**given)
    output = _checked_output(settings)
    # Lock both: the path of the checkpoint may be the output of another training.
    with alone(output), alone(checkpoint.path_beside(output)):
        _train_alone(settings, output)


def _train_alone(settings: Settings, output: Path) -> None:
    from featcli.training import reports
    from featcli.training.session import Session

    found, going_on = _options(settings, output)
    report = Path(settings.report) if settings.report else None
    history = Path(settings.history) if settings.history else None
    _check_free(settings, output, history, report, going_on)
    with contextlib.ExitStack() as held:
        for path in (history, report and report / reports.HISTORY):
            if path:
                held.enter_context(alone(path))
        _learn(settings, Session(found, output, going_on), history, report)


def _learn(settings: Settings, session: Session, history: Path | None, report: Path | None) -> None:
    """Train, and write the model, the history and the report."""
    output = session.output
    _check_step(settings.trace_step, session.training)
    missing = left_out(session.dataset.skipped)
    notes = [] if settings.quiet else [*session.notes, *session.describe()]
    for text in (*missing, *notes):
        say(text)
    _run(session, settings, history, report)
    emit(str(output))
    if missing:
        say(f"{output} is complete, but {missing[-1]}: exit code 1")
        raise click.exceptions.Exit(1)


def _check_step(step: int | None, training: Training) -> None:
    first, last = (epochs * training.steps for epochs in (training.epoch, training.recipe.epochs))
    if step and not first < step <= last:
        raise UsageError(f"--trace-step {step}: must be {first + 1} to {last}")


def _run(session: Session, settings: Settings, history: Path | None, report: Path | None) -> None:
    """Train, showing the progress."""
    from featcli.cli.train_display import display
    from featcli.training import reports

    with display(session, settings.quiet) as screen:

        def print_step(step: StepTrace) -> None:
            for text in lines(step, session.names, session.options.recipe.optimizer):
                screen.write(printable(text))

        def after_epoch(epoch: Any) -> None:
            screen.show_epoch(epoch)
            if history:
                reports.write_history(history, session.training.history)

        if history and session.training.history:  # the previous run may have stopped before this
            reports.write_history(history, session.training.history)
        tracer = Tracer(settings.trace_step, print_step) if settings.trace_step else None
        try:
            session.run(after_epoch, screen.show_progress, tracer)
            if session.ended() and not settings.quiet:
                screen.write(f"featcli train: {printable(session.ended())}")
            if report:
                _write_report(report, session)
            session.finish()
        except (KeyboardInterrupt, SystemExit):
            screen.stop()
            say(f"stopped: {session.kept()}; --resume continues")
            raise


def _write_report(report: Path, session: Session) -> None:
    from featcli.training import reports

    try:
        reports.write_training(report, session)
    except WriteError as error:
        raise type(error)(f"{error}; {session.kept()}; --resume writes it again") from error


def _checked_output(settings: Settings) -> Path:
    output = Path(settings.output)
    if output.suffix != ".npz":
        raise UsageError(f"-o {output}: the suffix of a model file is .npz")
    if output.is_dir():
        raise UsageError(f"-o {output}: is a folder")
    check_folder(output.parent)
    if settings.head_only and not settings.base:
        raise UsageError("--head-only needs --from MODEL")
    if settings.base and not settings.head_only:
        raise UsageError("--from needs --head-only: the layers of the model cannot be trained")
    return output


def _options(settings: Settings, output: Path) -> tuple[Options, checkpoint.Checkpoint | None]:
    """Return the options: from the command line, or with --resume from the checkpoint."""
    path = checkpoint.path_beside(output)
    if not settings.resume:
        return _from_command(settings), None
    if not path.exists():
        finished = f"; {output} is finished" if output.exists() else ""
        raise UsageError(f"--resume: there is no checkpoint {path}{finished}")
    found = checkpoint.load(path)
    try:
        kept = Options.from_json(settings.data, found.options)
    except ValueError as error:
        raise checkpoint.broken(path, error) from error
    _check_same(settings, kept)
    return kept, found


def _from_command(settings: Settings) -> Options:
    on_trunk = bool(settings.base or settings.kernels)
    _check_validated(settings)
    _check_trunk(settings)
    recipe = {name: getattr(settings, name) for name in RECIPE} | {
        "arch": settings.arch or ("" if on_trunk else DEFAULT),
        "lr": RATES[settings.optimizer] if settings.lr is None else settings.lr,
        "keep": settings.keep or ("best" if settings.patience else "last"),
        "patience": settings.patience or 0,
    }
    return Options(
        settings.data,
        Recipe(**recipe),
        size=settings.size or "",
        channels=settings.channels,
        base=settings.base or "",
        kernels=settings.kernels or "",
        strict=settings.strict,
    )


def _check_validated(settings: Settings) -> None:
    """Refuse options that need validation images if there are none."""
    asked = "--patience" if settings.patience else "--keep best"
    if settings.val_split == 0 and (settings.patience or settings.keep == "best"):
        raise UsageError(f"{asked} needs validation images: set --val-split above 0")


def _check_trunk(settings: Settings) -> None:
    if settings.base and settings.kernels:
        raise UsageError("--kernels and --from: give one of them")
    for name in ("size", "augment", "channels"):
        if settings.base and getattr(settings, name) not in ("", None, "none", "auto"):
            raise UsageError(f"--{name} and --from: the preprocessing is that of the model")
    if settings.kernels and settings.channels == "RGB":
        raise UsageError("--channels RGB and --kernels: the kernels are applied to grey images")
    if settings.kernels and settings.augment != "none":
        raise UsageError(
            "--augment and --kernels: the feature maps are computed once, from unchanged images"
        )


def _check_same(settings: Settings, kept: Options) -> None:
    """Raise UsageError if a given option differs from the one in the checkpoint."""
    context = click.get_current_context()
    for name in (*RECIPE, *_OTHERS):
        then = getattr(kept.recipe if name in RECIPE else kept, name)
        typed = context.get_parameter_source(name) == ParameterSource.COMMANDLINE
        now = getattr(settings, name)
        if typed and now != then:
            option = "from" if name == "base" else name.replace("_", "-")
            raise UsageError(
                f"--{option}: the checkpoint was made with {then!r}, not {now!r}: leave out the "
                "option, or start again with --overwrite instead of --resume"
            )


def _check_free(
    settings: Settings,
    output: Path,
    history: Path | None,
    report: Path | None,
    going_on: checkpoint.Checkpoint | None,
) -> None:
    from featcli.training import reports

    own = [output, checkpoint.path_beside(output)]
    told = [report / name for name in reports.NAMES] if report else []
    paths = [*own, *told, *([history] if history else [])]
    for option, place in (("--history", history and history.parent), ("--report", report)):
        if place:
            check_folder(place, option)
    _check_distinct(paths, [settings.data, settings.base])
    _check_no_data(paths, settings)
    resumed = going_on.history if going_on else None
    _check_model(own, settings.overwrite or going_on is not None)
    for some, record in ((told, report and report / reports.HISTORY), ([history], history)):
        if record:
            is_ours = resumed is not None and reports.is_of(record, resumed)
            check_free([one for one in some if one], settings.overwrite or is_ours)


def _check_model(paths: Sequence[Path], may_replace: bool) -> None:
    """Raise UsageError if model or checkpoint exist; name --resume if it can continue them."""
    try:
        check_free(paths, may_replace)
    except OutputExists as error:
        if not all(path.is_file() for path in paths):
            raise
        raise OutputExists(f"{error}; --resume continues the training") from error


def _is_data(path: Path, folder: Path) -> bool:
    """Whether a path is in a class folder, or has the name of an idx file."""
    inside = path.is_relative_to(folder)
    return inside and (len(path.relative_to(folder).parts) > 1 or is_name(path.name))


def _check_distinct(paths: list[Path], inputs: list[str | None]) -> None:
    """Raise UsageError if an output would overwrite another one or an input."""
    taken = {Path(one).resolve() for one in inputs if one and Path(one).exists()}
    folders = [one for one in taken if one.is_dir()]
    for path in paths:
        if path.resolve() in taken:
            raise UsageError(f"{path} is also an input or another output: choose another name")
        if any(_is_data(path.resolve(), folder) for folder in folders):
            raise UsageError(f"{path} would be inside the data folder: choose another place")
        taken.add(path.resolve())


def _check_no_data(paths: list[Path], settings: Settings) -> None:
    """Raise UsageError if an output is a (hard or symbolic) link to a file of the inputs."""
    outputs = {(p.stat().st_dev, p.stat().st_ino): p for p in paths if p.exists()}
    inputs = chain(files_of(settings.data), [Path(settings.base)] if settings.base else [])
    for file in inputs if outputs else []:
        with contextlib.suppress(OSError):
            found = file.stat()
            if path := outputs.get((found.st_dev, found.st_ino)):
                raise UsageError(
                    f"{path} is the same file as {file} of the data: choose another name"
                )


command = Command(
    "train",
    __doc__,
    [
        train_options.dataset("Labelled images, or a labelled table of vectors; see above."),
        *train_options.recipe(),
        *train_options.data(),
        *train_options.outputs(),
        options.quiet(),
    ],
    callback=_train,
)
