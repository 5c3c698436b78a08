"""List the stages and kernels that other packages bring, and what is wrong with them.

A plugin is a Python package that names what it brings as entry points of the groups
featcli.stages and featcli.kernels; to install it is all that is needed. docs/plugins.md
says how to write one.

Examples
--------
What is installed, and the same for another program:

    featcli plugins --json
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from featcli import plugins
from featcli._index import STAGES
from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.messages import printable, say
from featcli.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def _state(group: str, entry: EntryPoint) -> str:
    """Return "used", or why it is not."""
    from featcli import kernels, stage

    is_stage = group == plugins.STAGES
    if entry.name in (STAGES if is_stage else kernels.names()):
        return "not used: featcli has one of this name"
    first = next(one for one in plugins.found(group) if one.name == entry.name)
    if first != entry:
        return f"not used: {plugins.package_of(first)} brings this name, too"
    try:
        if is_stage:
            stage.get(entry.name)
        else:
            kernels.parse(entry.name)
    except ValueError as error:
        return f"broken: {error}"
    return "used"


def _plugins(names: tuple[str, ...], as_json: bool) -> None:
    rows = [
        {
            "kind": group.removeprefix("featcli.").removesuffix("s"),
            "name": entry.name,
            "package": plugins.package_of(entry),
            "state": _state(group, entry),
        }
        for group in plugins.GROUPS
        for entry in plugins.found(group)
        if not names or entry.name in names
    ]
    missing = set(names) - {row["name"] for row in rows}
    if missing:
        raise UsageError(f"no plugin brings {', '.join(sorted(missing))}")
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        line = f"{row['kind']:7} {row['name']:16} {row['package']:24} {row['state']}"
        click.echo(printable(line))
    if not rows:
        say("no plugins are installed", command="plugins")


command = Command(
    "plugins",
    __doc__,
    [
        options.Described(
            "names",
            "What they are called. Without any, the list of all.",
            nargs=-1,
            metavar="[NAME]...",
        ),
        options.Grouped(["--json", "as_json"], is_flag=True, group="Output", help="As JSON."),
        options.debug(),
    ],
    callback=_plugins,
)
