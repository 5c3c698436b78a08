"""List the stages and kernels that installed plugins provide, and errors in them.

A plugin is a Python package with entry points in the groups featcli.stages and featcli.kernels;
featcli finds it as soon as it is installed. docs/plugins.md explains how to write one.

Examples
--------
The installed plugins, as JSON:

    featcli plugins --json
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from featcli import plugins
from featcli.cli import completions, options
from featcli.cli.command import Command
from featcli.cli.messages import printable, say
from featcli.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def _state(group: str, entry: EntryPoint) -> str:
    """Return "used", or the reason why an entry is not used."""
    from featcli import kernels, stage

    is_stage = group == plugins.STAGES
    if not plugins.NAME.fullmatch(entry.name):
        return "not used: a name has at most 60 letters and digits of ASCII, _ and -"
    if entry.name in stage.BUILT_IN if is_stage else kernels.is_built_in(entry.name):
        return f"not used: {entry.name} is a built-in name"
    first = next(one for one in plugins.found(group) if one.name == entry.name)
    if first is not entry:
        return f"not used: {plugins.package_of(first)} has the same name and comes first"
    try:
        if is_stage:
            stage.from_plugin(entry.name)
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
        raise UsageError(f"no plugin has a stage or kernel {', '.join(sorted(missing))}")
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        line = f"{row['kind']:7} {row['name']:16} {row['package']:24} {row['state']}"
        click.echo(printable(line))
    if not rows:
        say("no plugins are installed")


command = Command(
    "plugins",
    __doc__,
    [
        options.Argument(
            "names",
            "Names of stages or kernels of plugins; without a name, all are listed.",
            nargs=-1,
            metavar="[NAME]...",
            shell_complete=completions.plugins,
        ),
        options.as_json(),
    ],
    callback=_plugins,
)
