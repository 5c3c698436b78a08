"""Show the help of a command, like its --help; without a name, list all commands.

Examples
--------
List the commands, and show the help of one:

    featcli help
    featcli help convolve
"""

from __future__ import annotations

import click

from featcli.cli import completions, options
from featcli.cli.command import Command


def _help(command: str | None) -> None:
    root = click.get_current_context().find_root()
    group = root.command
    assert isinstance(group, click.Group)
    if command is None:
        click.echo(root.get_help())
        return
    name, found, _ = group.resolve_command(root, [command])
    assert found
    with click.Context(found, root, info_name=name) as context:
        click.echo(found.get_help(context))


command = Command(
    "help",
    __doc__,
    [
        options.Argument(
            "command",
            "The name of a command.",
            required=False,
            metavar="[COMMAND]",
            shell_complete=completions.commands,
        ),
    ],
    callback=_help,
)
