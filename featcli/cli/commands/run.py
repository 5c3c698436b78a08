"""Run several stages in one process, such as "convolve vertical | relu | pool 2".

The result is the same, byte for byte, as that of the single commands in a shell pipe, which
--print-shell writes.

Examples
--------
Features of a photo as a vector:

    featcli run "convolve vertical | relu | pool 2 | flatten" photo.jpg

The same as single commands:

    featcli run "convolve vertical | relu | pool 2" photo.jpg --print-shell
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import click

from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.execute import execute
from featcli.errors import UsageError
from featcli.pipeline import Pipeline, words


def _shell(pipeline: Pipeline, settings: dict[str, Any]) -> str:
    """Write the pipeline as single commands, arrays flowing between them."""
    commands = [["featcli", *words(step), "-o", "-"] for step in pipeline.steps]
    last = _given([*options.outputs(), *options.batch()], settings)
    commands[-1] = [*commands[-1][:-2], *last]
    commands[0] += _given(options.inputs()[1:], settings)
    names = settings["inputs"]
    commands[0] += ["--", *names] if any(name.startswith("-") for name in names) else names
    return " | ".join(shlex.join(command) for command in commands)


def _given(params: Sequence[click.Parameter], settings: dict[str, Any]) -> Iterator[str]:
    """Yield the options that have not their default, as they would be typed."""
    for param in params:
        value = settings[param.name or ""]
        name = max(param.opts, key=len)
        if isinstance(param, click.Option) and param.is_flag:
            yield from [name] if value else []
        elif param.multiple:
            yield from (word for one in value for word in (name, one))
        elif value not in (None, param.default):
            yield from (name, str(value))


def _run(pipeline: str, print_shell: bool, **settings: Any) -> None:
    try:
        parsed = Pipeline(pipeline)
    except UsageError as error:
        raise UsageError(f"{error}{_misplaced(pipeline, settings['inputs'])}") from None
    if print_shell:
        click.echo(os.fsencode(_shell(parsed, settings)))
    else:
        execute(parsed, settings)


def _misplaced(pipeline: str, inputs: Sequence[str]) -> str:
    """Guess that the pipeline comes after the file, or lost its quotes."""
    if Path(pipeline).exists():
        return "; the pipeline comes first: featcli run PIPELINE FILE"
    words = list(takewhile(lambda word: not Path(word).exists(), inputs))
    return f'; is this meant? featcli run "{" ".join([pipeline, *words])}" FILE' if words else ""


command = Command(
    "run",
    __doc__,
    [
        options.Described(
            "pipeline",
            "Stages with bars between them. After a stage's name come its words in order (pool 2) "
            "and its options (--kind mean); quotes work as in a shell.",
            metavar="PIPELINE",
        ),
        *options.inputs(),
        *options.outputs(),
        options.Grouped(
            ["--print-shell"], is_flag=True, group="Output", help="Print the single commands."
        ),
        *options.batch(),
        options.quiet(),
        options.verbose(),
        options.debug(),
    ],
    callback=_run,
)
