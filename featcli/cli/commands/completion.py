"""Print the completion script for a shell.

With it, the Tab key completes commands, options and their choices, files, kernels, models and
their layers, data sets, saved pipelines, and the stages inside a quoted pipeline. Add one line to
your shell's start-up file:

\b
  ~/.bashrc   eval "$(featcli completion bash)"
  ~/.zshrc    autoload -U compinit; compinit; eval "$(featcli completion zsh)"
  ~/.config/fish/config.fish
              featcli completion fish | source

In ~/.zshrc, leave out compinit if it is there already. bash must be version 4.4 or later.

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
# Click's script for fish drops what follows a comma, in pipelines and in descriptions.
_FISH = """\
function _featcli_completion
    set -l response (env _FEATCLI_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) \\
        COMP_CWORD=(commandline -t) featcli)
    for completion in $response
        set -l found (string split -m 1 , -- $completion)
        switch $found[1]
            case dir
                __fish_complete_directories $found[2]
            case file
                __fish_complete_path $found[2]
            case plain
                echo $found[2]
        end
    end
end
complete --no-files --command featcli --arguments "(_featcli_completion)"
"""


def _completion(shell: str) -> None:
    if shell == "fish":
        click.echo(_FISH, nl=False)
        return
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
