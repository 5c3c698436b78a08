"""Write a page that shows what a network computes from your image, layer by layer.

The page is a single HTML file that works offline, with the feature maps of every layer. Click on a
cell of a map to see how its value was computed: the window, the kernel and the products. It works
for any pipeline and any model, ONNX files included; by default it shows the network that 'featcli
classify' uses.

Examples
--------
What the ImageNet network sees in a photo:

    featcli explain photo.jpg -o report.html

The same for a pipeline of fixed kernels:

    featcli explain photo.jpg --pipeline "convolve vertical | relu | pool 2 | flatten"

A tiny network that tells 0 from 1, with all of its numbers:

    featcli explain one.png --model zero-one -o one.html

Compare two images, side by side at every layer:

    featcli explain samples/cat.jpg samples/coffee.jpg -o both.html

Write a PNG for each layer; or one PNG of all layers, for a slide:

    featcli explain one.png --model zero-one -o layers/
    featcli explain photo.jpg --filmstrip strip.png
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from featcli.cli import completions, options, saving
from featcli.cli.command import Command
from featcli.cli.frames import one_frame
from featcli.cli.model_options import ModelChoice, metadata_options, open_model, warn_raw_pixels
from featcli.cli.settings import Reading, collect
from featcli.errors import FeatError, UsageError
from featcli.frame import Array, Frame, Step
from featcli.io.naming import Heading, stem
from featcli.io.options import ReadOptions
from featcli.io.outputs import is_folder
from featcli.models.loading import DEFAULT
from featcli.pipeline import Pipeline
from featcli.stage import safe_tag

if TYPE_CHECKING:
    from featcli.trace import Trace

_MEGA = 1_000_000


class _Subject(NamedTuple):
    """The pipeline or model to explain: how to read images for it, and how to run it."""

    reading: ReadOptions
    steps: tuple[Step, ...]
    trace: Callable[[Frame], Trace]
    predict: Callable[[Frame, Array], Array]
    remedy: str


class _Settings(NamedTuple):
    """The options, except those of the model and for reading images."""

    pipeline: str | None
    output: str | None
    filmstrip: str | None
    channels: int | None
    max_size: int
    overwrite: bool
    quiet: bool


def _explain(images: tuple[str, ...], **given: Any) -> None:
    reading, settings = collect(Reading, given), collect(_Settings, given)
    asked = collect(ModelChoice, given)
    if asked.model is not None and settings.pipeline is not None:
        raise UsageError("--model and --pipeline: give one of them")
    for name in ("labels", "preprocessing", "input_shape"):
        if getattr(asked, name) and settings.pipeline is not None:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} and --pipeline: {option} goes with a model only")
    _check_names(settings, len(images))
    text = settings.pipeline
    subject = (
        _of_model(asked, reading, settings.quiet) if text is None else _of_pipeline(text, reading)
    )
    _write(images, subject, settings)


def _check_names(settings: _Settings, count: int) -> None:
    """Refuse unsuitable names of outputs, before any work."""
    output, strip = settings.output, settings.filmstrip
    if (
        output is not None
        and output != "-"
        and not is_folder(output)
        and Path(output).suffix.lower() not in (".html", ".htm")
    ):
        raise UsageError(
            f"-o {output}: give a page (.html), or a folder for pictures of the layers"
        )
    if strip:
        saving.check_suffix("--filmstrip", strip, ".png")
    if count > 1 and (strip or (output and is_folder(output))):
        what = "--filmstrip" if strip else f"-o {output}"
        raise UsageError(f"{what} takes one image; only a page (.html) can show several")
    if output == "-" and strip:
        raise UsageError("-o - and --filmstrip: give one of them")
    if output == "-":
        saving.check_no_terminal("report.html", "the page")


def _of_pipeline(text: str, reading: Reading) -> _Subject:
    from featcli.models.tracing import trace_pipeline

    pipeline = Pipeline(text)

    def predict(frame: Frame, data: Array) -> Array:
        return pipeline(frame.replace(data=data)).data

    remedy = "begin the pipeline with a 'resize' to fewer pixels, or "
    return _Subject(
        reading.options_for(pipeline),
        pipeline.steps,
        lambda frame: trace_pipeline(pipeline, frame),
        predict,
        remedy,
    )


def _of_model(asked: ModelChoice, reading: Reading, quiet: bool) -> _Subject:
    from featcli.models.tracing import trace_model

    if reading.unit:
        raise UsageError("--unit goes with --pipeline only: a model has its own range of pixels")
    model = open_model(asked)
    if not quiet:
        warn_raw_pixels(model)
    steps = (Step.of("classify", **model.params),)
    return _Subject(
        reading.options_for(Pipeline(steps)),
        steps,
        lambda frame: trace_model(model, frame),
        lambda _frame, data: model.run(model.prepare(data)),
        "",
    )


def _read(
    images: tuple[str, ...], subject: _Subject, settings: _Settings
) -> tuple[list[Frame], list[Trace]]:
    """Read the images, and run the subject on each."""
    from featcli.models.attribution import with_heats

    frames = [one_frame(image, subject.reading, settings.quiet) for image in images or (None,)]
    return frames, [with_heats(subject.trace(one), partial(subject.predict, one)) for one in frames]


def _write(images: tuple[str, ...], subject: _Subject, settings: _Settings) -> None:
    """Write all outputs or, if one fails, none; then print their paths."""
    from featcli.io import reports

    output, strip = settings.output, settings.filmstrip
    named = [Path(one) for one in (output, strip) if one and one != "-" and not is_folder(one)]
    given = [Path(image) for image in images if image != "-"]
    reports.check(named, settings.overwrite, given)
    frames, traces = _read(images, subject, settings)
    files: dict[str, bytes] = {}
    if output and output != "-" and is_folder(output):
        files |= {str(Path(output) / name): data for name, data in _pictures(traces[0]).items()}
    elif output or not strip:
        page = output or _default_name(frames, subject)
        files[page] = _page(subject, traces, settings)
    if strip:
        from featcli.view.filmstrip import draw

        files[strip] = reports.as_png(draw(traces[0]))
    saving.write(files, settings.overwrite, given)


def _default_name(frames: list[Frame], subject: _Subject) -> str:
    """Name the page after its first two images and the steps, such as `cat+dog.imagenet.html`."""
    first = frames[0]
    keys = [Path(frame.source.key).name for frame in frames[1:2]]
    more = [f"{len(frames) - 2}-more"] if len(frames) > 2 else []
    source = first.source._replace(key="+".join([first.source.key, *keys, *more]))
    heading = Heading(source, first.part, (*first.history, *subject.steps))
    return stem(heading, flat=True) + ".html"


def _page(subject: _Subject, traces: list[Trace], settings: _Settings) -> bytes:
    """Return the page; raises FeatError if it is larger than --max-size."""
    from featcli.io import reports
    from featcli.view.explain.packing import TooLarge
    from featcli.view.explain.page import page

    limit = settings.max_size
    try:
        content = reports.as_page(page(traces, settings.channels, limit * _MEGA))
    except TooLarge as error:
        fewer = _fitting_channels(traces, settings.channels, limit * _MEGA)
        remedy = f"show fewer maps by --channels {fewer}, or " if fewer else subject.remedy
        raise FeatError(
            f"{traces[0].picture}: the page is larger than --max-size {limit} (MB): "
            f"{remedy}raise --max-size"
        ) from error
    except ValueError as error:
        raise FeatError(str(error)) from error
    return content


def _fitting_channels(traces: list[Trace], channels: int | None, limit: int) -> int:
    """Find a number of maps per layer with which the page fits; 0 if there is none."""
    from featcli.view.explain.packing import TooLarge
    from featcli.view.explain.page import page
    from featcli.view.explain.selection import USUAL

    number = (channels or USUAL) // 2
    while number:
        try:
            page(traces, number, limit)
        except TooLarge:
            number //= 2
        else:
            return number
    return 0


def _pictures(trace: Trace) -> dict[str, bytes]:
    """Draw a sheet of maps for each layer; return PNGs by file name, numbered in order."""
    from featcli.io import reports
    from featcli.view.montage import draw

    width = len(str(len(trace.layers) - 1))
    return {
        f"{number:0{width}}-{_file_name(layer.name)}.png": reports.as_png(draw([layer]))
        for number, layer in enumerate(trace.layers)
    }


def _file_name(layer: str) -> str:
    """Return a layer's name as a safe file name; the dots between block and step stay."""
    return ".".join(safe_tag(piece) for piece in layer.split("."))


command = Command(
    "explain",
    __doc__,
    [
        options.Argument(
            "images",
            "Images (PNG, JPEG, TIFF, BMP, GIF, WebP, PNM) or arrays; several are shown side by "
            "side at each layer. Without one, or with -, standard input is read.",
            nargs=-1,
            metavar="[IMAGE]...",
            type=click.Path(readable=False),
        ),
        options.Option(
            "--model",
            shell_complete=completions.models,
            metavar="NAME|PATH",
            group="Model",
            help="The name of an included model, or a model file (.npz, or .onnx with the extra "
            "onnx).  "
            f"[default: {DEFAULT}]",
        ),
        *metadata_options(),
        options.Option(
            "--pipeline",
            metavar="PIPELINE",
            shell_complete=completions.pipeline,
            group="Model",
            help="Explain a pipeline instead of a model: stages separated by |, as for 'featcli "
            "run'.",
        ),
        options.decode(),
        *options.without(options.reading(), "frames"),
        options.output(
            "The page (.html); a folder for one PNG per layer instead; or - for the page on "
            "stdout. Without it, KEY.NAME.html in the current folder.",
        ),
        options.path(
            "--filmstrip",
            metavar="FILE.png",
            help="Draw all layers, from the image to the prediction, as one picture.",
        ),
        options.Option(
            "--channels",
            type=click.IntRange(1, 4096),
            group="Output",
            help="Show the N strongest maps of each layer, and N of the maps that they are "
            "computed from.  [default: all of a small network, 6 of a large one]",
        ),
        options.Option(
            "--max-size",
            type=click.IntRange(1, 2000),
            metavar="MB",
            default=15,
            group="Output",
            help="The largest page to write, in megabytes.",
        ),
        options.overwrite(),
        options.quiet(),
    ],
    callback=_explain,
)
