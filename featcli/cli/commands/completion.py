"""Print the completion script for a shell.

With it, the Tab key completes commands, options and their choices, files, kernels, models and
their layers, data sets, saved pipelines, and the stages inside a quoted pipeline. Add one line to
your shell's start-up file:

\b
  ~/.bashrc                    eval "$(featcli completion bash)"
  ~/.zshrc                     eval "$(featcli completion zsh)"
  ~/.config/fish/config.fish   featcli completion fish | source

Examples
--------
Turn completion on in the current shell only:

    eval "$(featcli completion bash)" && complete -p featcli
"""

from __future__ import annotations

import click

from featcli.cli import options
from featcli.cli.command import Command

SHELLS = ("bash", "zsh", "fish")


def _completion(shell: str) -> None:
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind
    root = click.get_current_context().find_root().command
    complete = kind(root, {}, "featcli", "_FEATCLI_COMPLETE")
    click.echo(complete.source_template % complete.source_vars())


command = Command(
    "completion",
    __doc__,
    [
        options.Argument(
            "shell", "bash, zsh or fish.", type=click.Choice(SHELLS), metavar="|".join(SHELLS)
        ),
    ],
    callback=_completion,
)
