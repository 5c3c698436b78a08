"""Write a model of featcli's as ONNX, for other programs.

MODEL is the name of a model that ships with featcli, or the file of one that 'featcli train' or
featcli.save_model wrote. The .onnx takes (batch, channels, rows, columns), prepared as its metadata
say, and gives what 'featcli classify' gives; names of the classes and the preprocessing are in the
metadata, so that featcli reads it without any option. It needs the extra onnx.

Examples
--------
The network that 'featcli classify' uses:

    featcli export imagenet -o imagenet.onnx

The same answers from onnxruntime:

    featcli export digits -o d.onnx -q && featcli classify photo.jpg --model d.onnx
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from featcli.cli import completions, learning, options
from featcli.cli.command import Command
from featcli.cli.messages import emit, printable, say
from featcli.cli.modelling import Asked, opened
from featcli.errors import UsageError
from featcli.io.atomic import check_free, write_files


def _export(model: str, output: str | None, overwrite: bool, quiet: bool) -> None:
    from featcli.models.exporting import to_onnx

    if not output or Path(output).suffix != ".onnx":
        raise UsageError("-o: names the file to write, which ends in .onnx")
    target = Path(output)
    again = partial(check_free, [target], overwrite)
    again()
    found = opened(Asked(model), option="MODEL")
    try:
        content = to_onnx(found)
    except ValueError as error:
        raise UsageError(f"{model}: {error}") from error
    write_files({target: lambda stream: stream.write(content)}, again)
    if not quiet:
        say(f"{printable(found.name)}: {len(content):,} bytes of ONNX", command="export")
    emit(output)


command = Command(
    "export",
    __doc__,
    [
        options.Described("model", "A model that ships with featcli, or a model file (.npz).",
                          metavar="MODEL", shell_complete=completions.models),
        options.place("-o", "--output", metavar="FILE", help="The .onnx file to write."),
        learning.overwrite(),
        options.quiet(),
        options.debug(),
    ],
    callback=_export,
)  # fmt: skip
