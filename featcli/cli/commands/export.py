"""Export a featcli model as an ONNX file, for other programs.

MODEL is the name of an included model, or a file written by 'featcli train' or featcli.save_model.
The network in the .onnx takes float32 of shape (batch, channels, rows, columns), preprocessed as
described in its metadata, and returns the probabilities that 'featcli classify' prints. The class
names and the preprocessing are in the metadata, so that featcli can use the file without further
options. This needs the extra onnx.

Examples
--------
The network that 'featcli classify' uses:

    featcli export imagenet -o imagenet.onnx

Export a model, and run it by onnxruntime:

    featcli export digits -o d.onnx -q && featcli classify photo.jpg --model d.onnx
"""

from __future__ import annotations

from pathlib import Path

from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.messages import emit, printable, say
from featcli.cli.model_options import ModelChoice, model_argument, open_model
from featcli.cli.saving import write_one
from featcli.errors import UsageError
from featcli.io.atomic import check_free


def _export(model: str, output: str | None, overwrite: bool, quiet: bool) -> None:
    from featcli.models.exporting import to_onnx

    if not output or Path(output).suffix != ".onnx":
        raise UsageError("-o: name the file to write; its suffix is .onnx")
    check_free([Path(output)], overwrite)
    found = open_model(ModelChoice(model), option="MODEL")
    try:
        content = to_onnx(found)
    except ValueError as error:
        raise UsageError(f"{model}: {error}") from error
    write_one(output, overwrite, lambda stream: stream.write(content))
    if not quiet:
        say(f"{printable(found.name)}: {len(content):,} bytes of ONNX")
    emit(output)


command = Command(
    "export",
    __doc__,
    [
        model_argument("The name of an included model, or a model file (.npz)."),
        options.path("-o", "--output", metavar="FILE", help="The .onnx file to write."),
        options.overwrite(),
        options.quiet(),
    ],
    callback=_export,
)
