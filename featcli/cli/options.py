"""The options that commands share, each a value that stands once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from featcli.io.options import MAX_PIXELS


class Grouped(click.Option):
    """An option that knows its heading in the help."""

    def __init__(self, *args: Any, group: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class Described(click.Argument):
    """An argument that is explained in the help."""

    def __init__(self, name: str, explanation: str, **settings: Any) -> None:
        super().__init__([name], **settings)
        self.explanation = explanation


class Range(click.FloatRange):
    """A number within a range; NaN is refused."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse NaN, which every comparison lets pass."""
        found = super().convert(value, param, ctx)
        if found != found:
            self.fail(f"{value!r} is not a number", param, ctx)
        return found


def choice(values: Sequence[str]) -> dict[str, Any]:
    """Settings of an option that takes one of `values`, written as a stage's are."""
    return {"type": click.Choice(values), "metavar": "|".join(values)}


def place(*names: str, metavar: str = "PATH", **settings: Any) -> Grouped:
    """An option that names a file or a folder, which a forgotten value or none is not."""
    found: dict[str, Any] = {"group": "Output", "type": click.Path(readable=False)} | settings
    return Grouped(names, metavar=metavar, callback=_no_option, **found)


def output(text: str, metavar: str = "PATH", **settings: Any) -> Grouped:
    """Where results go; what kinds there are differs."""
    return place("-o", "--output", metavar=metavar, help=text, **settings)


def _option(group: str, *names: str, **settings: Any) -> Grouped:
    return Grouped(names, group=group, **settings)


_YEAR = 366 * 24 * 3600
VIEWS = ("auto", "minmax", "abs", "signed", "clip")
CELLS = ("auto", "on", "off")
CMAPS = ("gray", "viridis", "magma", "coolwarm")


def reading() -> list[click.Parameter]:
    """How inputs are read."""
    return [
        _option("Input", "--unit", is_flag=True, help="Scale integers to 0..1 by their type."),
        _option(
            "Input",
            "--background",
            metavar="COLOUR",
            default="white",
            show_default=True,
            help="Colour behind transparent pixels; 'keep' keeps transparency as a channel A.",
        ),
        _option(
            "Input",
            "--frames",
            **choice(["first", "all"]),
            default="first",
            show_default=True,
            help="Which frames of an animation or a file of several pages are read.",
        ),
        _option(
            "Input",
            "--layout",
            **choice(["hwc", "chw"]),
            default="hwc",
            show_default=True,
            help="Order of the axes of a 3-D array: channels last (hwc) or first (chw).",
        ),
        _option(
            "Input",
            "--max-pixels",
            type=click.IntRange(1),
            metavar="N",
            default=MAX_PIXELS,
            show_default=True,
            help="Read a picture with more pixels in strips of rows, or refuse it.",
        ),
        _option(
            "Input",
            "--icc",
            **choice(["ignore", "srgb"]),
            default="ignore",
            show_default=True,
            help="Convert colours to sRGB by the profile that the file carries.",
        ),
        _option(
            "Input",
            "--strict",
            is_flag=True,
            help="Refuse inputs that get a note, and check JPEGs for damage more thoroughly.",
        ),
        _option(
            "Input",
            "--max-memory",
            metavar="SIZE",
            callback=_memory,
            help="Memory for all workers together, such as 500MB or 4GB. Where the estimate for an "
            "image is higher, it is computed in strips of rows, if its file format and the stages "
            "allow that; otherwise it is refused.  [default: 1GB, or half of a "
            "smaller container's]",
        ),
    ]


def decode() -> click.Parameter:
    """How exactly JPEGs are decoded."""
    return _option(
        "Input",
        "--decode",
        **choice(["exact", "fast"]),
        default="exact",
        show_default=True,
        help="fast: decode a JPEG at reduced size if the first stage (resize, a model) makes it "
        "much smaller anyway; some pixels differ by a few levels.",
    )


def arguments() -> Described:
    """What is read."""
    return Described(
        "inputs",
        "Images (PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, ...), arrays (.npy, .npz), a .tar of these, "
        "folders, globs or ranges ('x-{000..099}.tar'); objects and prefixes of buckets (s3://, "
        "gs://, az://), addresses https://. An input that is named twice is processed once. "
        "Without inputs, or for -, standard input is read: an image, an array, a tar stream, or a "
        "list of paths.",
        nargs=-1,
        metavar="[INPUT]...",
        type=click.Path(readable=False),
    )


def input_shape() -> click.Parameter:
    """What an .onnx may leave open."""
    return _option(
        "Model",
        "--input-shape",
        metavar="SHAPE",
        callback=_shape,
        help="Rows, columns and channels of the input, such as 224x224x3, if an .onnx leaves them "
        "open.",
    )


def _shape(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
    if value is None:
        return ""
    from featcli.models.loading import parse_shape
    from featcli.models.network import sizes

    try:
        return sizes(parse_shape(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def inputs() -> list[click.Parameter]:
    """What is read, and how."""
    return [
        arguments(),
        _option(
            "Input",
            "--from-file",
            multiple=True,
            metavar="LIST",
            type=click.Path(readable=False),
            help="Read paths from a file, one a line or separated by NUL; - is stdin.",
        ),
        *reading(),
        decode(),
    ]


def view() -> list[click.Parameter]:
    """How arrays are drawn."""
    return [
        _option(
            "Output",
            "--view",
            **choice(VIEWS),
            default="auto",
            show_default=True,
            help="How values become brightness. auto: values that can be negative are drawn around "
            "mid-grey; abs: strong edges bright on black, whatever their sign.",
        ),
        _option("Output", "--cmap", **choice(CMAPS), help="Colours of the picture."),
    ]


def _no_option(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Refuse a forgotten value, whose place the next option has taken."""
    if value == "":
        raise click.BadParameter("is empty: name a folder or a file")
    if value and value.startswith("-") and value != "-":
        raise click.BadParameter(f"{value!r} looks like an option; if it is a name, give ./{value}")
    return value


def _size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no size."""
    if value is None:
        return None
    from featcli.budget import size_of

    try:
        size_of(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


def _memory(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Read a size; raises BadParameter for one in which nothing could be done."""
    from featcli import budget

    try:
        size = budget.size_of(value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if size is not None and size <= budget.STARTED:
        raise click.BadParameter(f"must be more than {budget.shown(budget.STARTED)}, not {value}")
    return size


def outputs() -> list[click.Parameter]:
    """Where results go."""
    return [
        output(
            "A folder (with a manifest.jsonl unless one file is the input), a file (.npy "
            ".npz .png .tar), a table of vectors (.csv .jsonl .parquet; .npy .npz for several "
            "inputs), shards ('x-%05d.tar'), each also in a bucket (s3://, gs://, az://); or - for "
            "a tar stream on stdout. Without it, files in the current folder.",
        ),
        _option(
            "Output",
            "--format",
            **choice(["tar", "npy", "png", "parquet"]),
            help="With -o -: what goes to stdout; tar unless given. parquet, with -o FOLDER/: a "
            "part for each shard (.tar) that is read.",
        ),
        _option(
            "Output",
            "--shard-size",
            metavar="SIZE",
            callback=_size,
            help="With -o 'x-%05d.tar': several files, a new one after SIZE.  [default: 1GB]",
        ),
        _option("Output", "--overwrite", is_flag=True, help="Replace what is there."),
        _option("Output", "--no-sidecar", is_flag=True, help="Write no .json beside arrays."),
        _option(
            "Output",
            "--csv-safe",
            is_flag=True,
            help="With -o FILE.csv: put ' before texts that a spreadsheet takes for formulas.",
        ),
        _option(
            "Output",
            "--label-from",
            **choice(["folder"]),
            help="With a table: add a column 'label' with the name of each image's folder.",
        ),
        *view(),
        _option(
            "Output",
            "--cells",
            **choice(CELLS),
            default="auto",
            show_default=True,
            help="Draw every value as a large cell with its number; auto: in files, if there are "
            "at most 16x16, or 64 in a vector.",
        ),
        _option("Output", "-0", "--null", is_flag=True, help="End printed paths with NUL."),
        _option("Output", "--json", "as_json", is_flag=True, help="Print JSON instead of paths."),
    ]


def quiet() -> click.Parameter:
    """For commands that have notes for people."""
    return _option("Other", "-q", "--quiet", is_flag=True, help="No notes, only errors.")


def verbose() -> click.Parameter:
    """For commands that have more to say."""
    return _option(
        "Other",
        "-v",
        "--verbose",
        count=True,
        help="Report what is done; -vv: also the range and the mean of each step's result.",
    )


def debug() -> click.Parameter:
    """For every command; the boundary in `main` looks for it."""
    return _option(
        "Other", "--debug", is_flag=True, expose_value=False, help="Show where an error comes from."
    )


def scheduler() -> click.Parameter:
    """Where the work is done, if not by this machine."""
    return _option(
        "Batch",
        "--scheduler",
        metavar="ADDRESS",
        callback=_address,
        help="Work on the Dask cluster at tcp://HOST:PORT or tls://HOST:PORT, or on one of its own "
        "on this machine: local, or local:N with N workers (with the extra dask).",
    )


def _address(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no address of a scheduler."""
    if value is None:
        return None
    from featcli.batch.addresses import check_address

    try:
        return check_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def batch() -> list[click.Parameter]:
    """How many inputs at once, and what becomes of those that fail."""
    return [
        _option(
            "Batch",
            "-j",
            "--jobs",
            type=click.IntRange(1, 1024),
            metavar="N",
            envvar="FEATCLI_JOBS",
            show_envvar=True,
            help="Work on N images at once; results do not depend on it.  "
            "[default: the processors, where there is enough to do]",
        ),
        _option(
            "Batch",
            "--limit",
            type=click.IntRange(1),
            metavar="N",
            help="Take only the first N inputs.",
        ),
        _option(
            "Batch",
            "--timeout",
            type=Range(0, _YEAR, min_open=True),
            metavar="SECONDS",
            help="Give up an image that takes longer; not what waits for a pipe.",
        ),
        scheduler(),
        _option("Batch", "--fail-fast", is_flag=True, help="Stop at the first image that fails."),
        _option(
            "Batch",
            "--retry-failed",
            is_flag=True,
            help="Do only what the manifest knows as failed.",
        ),
        _option(
            "Batch",
            "--checksum",
            is_flag=True,
            help="Tell by the content (sha256) whether an image has changed, not by size and time.",
        ),
        _option(
            "Batch",
            "--dry-run",
            is_flag=True,
            help="Only print what would be read and written.",
        ),
    ]
