"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from featcli.cli import checks
from featcli.cli.environment import MOST_JOBS
from featcli.io.options import MAX_PIXELS


class Option(click.Option):
    """An option with the heading under which the help lists it.

    A given default is shown, and a whole number is N.
    """

    def __init__(self, *names: str, group: str = "Options", **settings: Any) -> None:
        if isinstance(settings.get("type"), click.IntRange):
            settings = {"metavar": "N"} | settings
        super().__init__(names, **{"show_default": "default" in settings} | settings)
        self.group = group


class Argument(click.Argument):
    """An argument with an explanation for the help."""

    def __init__(self, name: str, explanation: str, **settings: Any) -> None:
        super().__init__([name], **settings)
        self.explanation = explanation


class Range(click.FloatRange):
    """A number within a range, not NaN."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Also refuse NaN, which passes Click's comparisons."""
        found = super().convert(value, param, ctx)
        if found != found:
            self.fail(f"{value!r} is not a number", param, ctx)
        return found


def choice(values: Sequence[str]) -> dict[str, Any]:
    """Return the settings of an option that takes one of `values`, shown as A|B|C."""
    return {"type": click.Choice(values), "metavar": "|".join(values)}


def under(group: str, *options: click.Parameter) -> list[click.Parameter]:
    """Return options that the help lists under one heading."""
    for one in options:
        assert isinstance(one, Option)
        one.group = group
    return list(options)


def without(params: Sequence[click.Parameter], *names: str) -> list[click.Parameter]:
    """Return the options and arguments, except those with these names."""
    return [one for one in params if one.name not in names]


def path(*names: str, metavar: str = "PATH", **settings: Any) -> Option:
    """Return an option for the path of a file or a folder."""
    found: dict[str, Any] = {"group": "Output", "type": click.Path(readable=False)} | settings
    return Option(*names, metavar=metavar, callback=checks.path, **found)


def output(text: str, metavar: str = "PATH", **settings: Any) -> Option:
    """Return the option -o; `text` describes the outputs that the command can write."""
    return path("-o", "--output", metavar=metavar, help=text, **settings)


def flag(*names: str, **settings: Any) -> Option:
    """Return an option without a value."""
    return Option(*names, is_flag=True, **settings)


_YEAR = 366 * 24 * 3600
VIEWS = ("auto", "minmax", "abs", "signed", "clip")
CELLS = ("auto", "on", "off")
CMAPS = ("gray", "viridis", "magma", "coolwarm")


def reading() -> list[click.Parameter]:
    """Return the options for reading images and arrays."""
    return under(
        "Input",
        flag("--unit", help="Scale integer values to 0..1 (uint8: divide by 255)."),
        Option(
            "--background",
            metavar="COLOUR",
            default="white",
            help="Background colour for transparent pixels; 'keep' keeps the alpha channel A.",
        ),
        Option(
            "--frames",
            **choice(["first", "all"]),
            default="first",
            help="Which frames of an animation, or pages of a TIFF, to read.",
        ),
        Option(
            "--layout",
            **choice(["hwc", "chw"]),
            default="hwc",
            help="Axis order of 3-D arrays: channels last (hwc) or first (chw).",
        ),
        Option(
            "--max-pixels",
            type=click.IntRange(1),
            default=MAX_PIXELS,
            help="Read an image with more pixels in strips of rows, or refuse it if that is not "
            "possible.",
        ),
        Option(
            "--icc",
            **choice(["ignore", "srgb"]),
            default="ignore",
            help="srgb: convert colours to sRGB with the ICC profile in the file.",
        ),
        flag(
            "--strict",
            help="Treat warnings about an input as errors, and check JPEGs more thoroughly for "
            "damage.",
        ),
        max_memory(),
    )


def max_memory() -> click.Parameter:
    """Return the option for the memory limit."""
    return Option(
        "--max-memory",
        group="Input",
        metavar="SIZE",
        callback=checks.memory,
        help="Memory limit of all workers together, such as 500MB or 4GB. An image that needs "
        "more is processed in strips of rows if its format and the stages allow it, otherwise "
        "refused.  [default: 1GB, or half of the memory if less]",
    )


def decode() -> click.Parameter:
    """Return the option for decoding JPEGs at reduced size."""
    return Option(
        "--decode",
        group="Input",
        **choice(["exact", "fast"]),
        default="exact",
        help="fast: decode JPEGs at reduced size if the first stage (resize, a model) shrinks them "
        "anyway; pixel values then differ slightly.",
    )


def arguments() -> Argument:
    """Return the argument INPUT."""
    return Argument(
        "inputs",
        "Images (PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, ...), arrays (.npy, .npz), .tar archives, "
        "folders, patterns ('*.jpg', 'x-{000..099}.tar'), objects or prefixes in cloud storage "
        "(s3://, gs://, az://), or https:// addresses. Duplicate inputs are processed once. "
        "Without INPUT, or with -, standard input is read: an image, an array, a tar stream, or a "
        "list of paths.",
        nargs=-1,
        metavar="[INPUT]...",
        type=click.Path(readable=False),
    )


def input_shape() -> click.Parameter:
    """Return the option for the input size of an ONNX model that does not fix it."""
    return Option(
        "--input-shape",
        group="Model",
        metavar="SHAPE",
        callback=checks.shape,
        help="The input size (rows x columns x channels, such as 224x224x3) of an .onnx model that "
        "does not fix it.",
    )


def inputs() -> list[click.Parameter]:
    """Return the argument INPUT, and the options for reading."""
    return [
        arguments(),
        Option(
            "--from-file",
            group="Input",
            multiple=True,
            metavar="LIST",
            type=click.Path(readable=False),
            help="Read input paths from a file: one per line, or separated by NUL; - is standard "
            "input.",
        ),
        *reading(),
        decode(),
    ]


def view() -> list[click.Parameter]:
    """Return the options for drawing arrays."""
    return under(
        "Output",
        Option(
            "--view",
            **choice(VIEWS),
            default="auto",
            help="How values are mapped to brightness. minmax: from the smallest (black) to the "
            "largest (white); abs: absolute values, 0 is black; signed: 0 is mid-grey; clip: "
            "values are pixels, those out of range are clipped; auto: by type and sign.",
        ),
        Option("--cmap", **choice(CMAPS), help="Colour map of the picture."),
    )


def outputs() -> list[click.Parameter]:
    """Return the options for results: where they are written, and how they are drawn."""
    return under(
        "Output",
        output(
            "A folder, a file (.npy .npz .png .tar), a table of vectors (.csv .jsonl .parquet; "
            "also .npy .npz for several inputs) or shards ('x-%05d.tar'), each also in cloud "
            "storage (s3://, gs://, az://); or - for a tar stream on stdout. Without it, files are "
            "written to the current folder.",
        ),
        Option(
            "--format",
            **choice(["tar", "npy", "png", "parquet"]),
            help="With -o -: the format on stdout (default: tar). parquet, with -o FOLDER/: write "
            "a .parquet file for each input shard (.tar).",
        ),
        Option(
            "--shard-size",
            metavar="SIZE",
            callback=checks.size,
            help="With -o 'x-%05d.tar': begin a new shard after SIZE.  [default: 1GB]",
        ),
        overwrite(),
        flag("--no-sidecar", help="Do not write a .json beside each array."),
        flag(
            "--csv-safe",
            help="With -o FILE.csv: put ' before texts that a spreadsheet would run as formulas.",
        ),
        Option(
            "--label-from",
            **choice(["folder"]),
            help="In a table, add a column 'label': the name of the folder that holds the image.",
        ),
        *view(),
        Option(
            "--cells",
            **choice(CELLS),
            default="auto",
            help="Draw each value as a large cell with its number in it; auto: for at most 16x16 "
            "values, or vectors of at most 64.",
        ),
        null(),
        as_json("Print a JSON line for each result instead of its path."),
    )


def overwrite() -> click.Parameter:
    """Return the option --overwrite."""
    return flag("--overwrite", group="Output", help="Replace existing files.")


def null() -> click.Parameter:
    """Return the option --null."""
    text = "End printed paths with a NUL character, for xargs -0."
    return flag("-0", "--null", group="Output", help=text)


def as_json(text: str = "Print JSON.") -> click.Parameter:
    """Return the option --json, with its help."""
    return flag("--json", "as_json", group="Output", help=text)


def quiet() -> click.Parameter:
    """Return the option --quiet."""
    return flag("-q", "--quiet", group="Other", help="Print only errors and results.")


def verbose() -> click.Parameter:
    """Return the option --verbose."""
    return Option(
        "-v",
        "--verbose",
        group="Other",
        count=True,
        help="Report each step; -vv: also the range and mean of its result.",
    )


def debug() -> click.Parameter:
    """Return the option --debug, which `main` looks for among the arguments."""
    return flag(
        "--debug", group="Other", expose_value=False, help="Show the Python traceback of an error."
    )


def jobs(text: str, **settings: Any) -> click.Parameter:
    """Return the option --jobs, with its help."""
    kind = click.IntRange(1, MOST_JOBS)
    return Option("-j", "--jobs", group="Batch", type=kind, help=text, **settings)


def scheduler() -> click.Parameter:
    """Return the option for running on a Dask cluster."""
    return Option(
        "--scheduler",
        group="Batch",
        metavar="ADDRESS",
        callback=checks.scheduler,
        help="Run on a Dask cluster: the address of its scheduler (tcp://HOST:PORT or "
        "tls://HOST:PORT), or local or local:N to start one on this machine, with N workers. Needs "
        "the extra dask.",
    )


def batch() -> list[click.Parameter]:
    """Return the options for processing many inputs."""
    return under(
        "Batch",
        jobs(
            "Process N images in parallel; the results do not depend on N.  "
            "[default: the number of processors, fewer for few images]",
            envvar="FEATCLI_JOBS",
            show_envvar=True,
        ),
        Option(
            "--limit",
            type=click.IntRange(1),
            help="Process only the first N inputs.",
        ),
        Option(
            "--timeout",
            type=Range(0, _YEAR, min_open=True),
            metavar="SECONDS",
            help="Count an image as failed if it takes longer; waiting for a pipe does not count.",
        ),
        scheduler(),
        flag("--fail-fast", help="Stop at the first image that fails."),
        flag("--retry-failed", help="Process only the inputs that failed in an earlier run."),
        flag(
            "--checksum",
            help="Detect changed inputs by their content (sha256), not by size and modification "
            "time.",
        ),
        flag("--dry-run", help="Only print what would be read and written; write nothing."),
    )
