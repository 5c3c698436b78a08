"""List the saved pipelines, or show some of them by their names.

'featcli run "..." --save NAME' saves one, 'featcli run --saved NAME INPUT' runs it. Each is a file
with one line of text; --folder says where they are, and to delete the file deletes the pipeline.

Examples
--------
Save one and look at it:

    featcli run "convolve sobel-x | abs" --save edges && featcli pipelines edges

All of them, for another program, and where they are:

    featcli pipelines --json
    featcli pipelines --folder
"""

from __future__ import annotations

import json

import click

from featcli.cli import completions, options, saved
from featcli.cli.command import Command
from featcli.cli.messages import printable, say


def _pipelines(names: tuple[str, ...], as_json: bool, folder: bool) -> None:
    if folder:
        click.echo(str(saved.folder()))
        return
    found = {name: saved.load(name) for name in names or saved.names()}
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, text in found.items():
        click.echo(f"{name:14}  {printable(text)}")
    if not found:
        say('none is saved; featcli run "..." --save NAME saves one', command="pipelines")


command = Command(
    "pipelines",
    __doc__,
    [
        options.Described(
            "names",
            "Saved pipelines. Without any, the list of all.",
            nargs=-1,
            metavar="[NAME]...",
            shell_complete=completions.saved_pipelines,
        ),
        options.Grouped(["--json", "as_json"], is_flag=True, group="Output", help="As JSON."),
        options.Grouped(
            ["--folder"], is_flag=True, group="Output", help="Print where they are kept."
        ),
        options.debug(),
    ],
    callback=_pipelines,
)
