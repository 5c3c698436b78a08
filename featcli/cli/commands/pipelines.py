"""List the saved pipelines, or show those with the given names.

'featcli run "..." --save NAME' saves a pipeline, 'featcli run --saved NAME INPUT' runs it. Each is
a text file of one line in the folder that --folder prints; delete the file to delete the pipeline.

Examples
--------
Save a pipeline and show it:

    featcli run "convolve sobel-x | abs" --save edges && featcli pipelines edges

All saved pipelines as JSON, and their folder:

    featcli pipelines --json
    featcli pipelines --folder
"""

from __future__ import annotations

import json

import click

from featcli.cli import completions, options, saved_pipelines
from featcli.cli.command import Command
from featcli.cli.messages import printable, say
from featcli.errors import UsageError


def _pipelines(names: tuple[str, ...], as_json: bool, folder: bool) -> None:
    if folder:
        click.echo(str(saved_pipelines.folder()))
        return
    found, errors = _named(names) if names else _all()
    if as_json:
        click.echo(json.dumps(found))
    else:
        for name, text in found.items():
            click.echo(f"{name:14}  {printable(text)}")
    for error in errors:
        say(str(error))
    if errors:
        click.get_current_context().exit(1)
    if not found and not as_json:
        say('no pipeline is saved; save one by featcli run "..." --save NAME')


def _named(names: tuple[str, ...]) -> tuple[dict[str, str], list[UsageError]]:
    return {name: saved_pipelines.load(name) for name in names}, []


def _all() -> tuple[dict[str, str], list[UsageError]]:
    """Return all saved pipelines, and an error for each file that cannot be read."""
    found, errors = {}, []
    for name in saved_pipelines.names():
        try:
            found[name] = saved_pipelines.load(name)
        except UsageError as error:
            errors.append(error)
    return found, errors


command = Command(
    "pipelines",
    __doc__,
    [
        options.Argument(
            "names",
            "Names of saved pipelines; without a name, all are listed.",
            nargs=-1,
            metavar="[NAME]...",
            shell_complete=completions.saved_pipelines,
        ),
        options.as_json(),
        options.flag("--folder", group="Output", help="Print the folder of the saved pipelines."),
    ],
    callback=_pipelines,
)
