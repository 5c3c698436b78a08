"""List the built-in kernels, or show one: its numbers, its purpose and its source.

Positive numbers have a bright background, negative ones a dark one, zero mid-grey.

Examples
--------
List all kernels, and show one:

    featcli kernels
    featcli kernels vertical

The numbers of a parametric kernel, as JSON:

    featcli kernels gaussian:sigma=1 --json
"""

from __future__ import annotations

import json
import textwrap
from typing import Any

import click

from featcli import kernels
from featcli.cli import completions, options
from featcli.cli.command import Command
from featcli.cli.messages import printable
from featcli.errors import UsageError
from featcli.formulas import FORMULAS

_WIDEST = 15
_INDENT = " " * 22
_HANGING: dict[str, Any] = {"initial_indent": _INDENT, "subsequent_indent": _INDENT}


def _kernels(names: tuple[str, ...], as_json: bool) -> None:
    if not names:
        _list(as_json)
    for name in names:
        try:
            found = kernels.describe(name)
            kernel = kernels.parse(name)
        except ValueError as error:
            raise UsageError(str(error)) from error
        if as_json:
            click.echo(json.dumps(_record(kernel)))
        else:
            _draw(found, kernel)


def _record(kernel: kernels.Kernel) -> dict[str, Any]:
    return {
        "name": kernel.label,
        "text": kernel.text,
        "values": kernel.values.tolist(),
        "title": kernel.title,
        "shows": kernel.shows,
        "citation": kernel.citation,
    }


def _list(as_json: bool) -> None:
    found = [kernels.parse(name) for name in kernels.names()]
    if as_json:
        click.echo(json.dumps([_record(kernel) for kernel in found]))
        return
    for kernel in found:
        size = "x".join(map(str, kernel.values.shape))
        click.echo(f"{kernel.label:14} {size:5}  {kernel.title}")
    click.echo("\nFormulas, such as gaussian:sigma=2 or box:7:")
    for formula in FORMULAS.values():
        click.echo(formula.usage)
        click.echo(textwrap.fill(_plain(formula.title), 80, **_HANGING))


def _plain(text: str) -> str:
    """Remove the backticks of docstrings."""
    return text.replace("`", "")


def _draw(found: kernels.Description, kernel: kernels.Kernel) -> None:
    from featcli.cli.console import console, show_pixels
    from featcli.view.picture import draw

    screen = console()
    rows, cols = kernel.values.shape
    screen.print(
        f"{kernel.label}: {_plain(found.title) or 'a kernel of your own'} ({rows}x{cols})\n"
    )
    if max(rows, cols) <= _WIDEST:
        _print_values(screen, found)
    else:
        view = "signed" if kernel.values.min() < 0 else "minmax"
        show_pixels(screen, [draw(kernel.values, view=view).pixels], min(screen.width, 64))
    total = f"The numbers sum to {kernel.values.sum():.4g}."
    for text in (found.shows, total, found.citation and f"Source: {found.citation}"):
        if text:
            screen.print(f"\n{printable(_plain(text))}", soft_wrap=False)
    if found.see_also:
        screen.print(f"\nSee also: {', '.join(found.see_also)}")


def _print_values(screen: Any, found: kernels.Description) -> None:
    """Print the matrix, each number on a shade of grey by its value."""
    from rich.style import Style
    from rich.text import Text

    from featcli.cli.console import colour

    texts = [[f"{value:.4g}" for value in row] for row in found.values]
    width = max(len(text) for row in texts for text in row) + 2
    top = abs(found.values).max() or 1
    for row, values in zip(texts, found.values, strict=True):
        line = Text("  ")
        for text, value in zip(row, values, strict=True):
            shade = round(127.5 + 127.5 * value / top)
            ink, ground = (0 if shade > 127 else 255,) * 3, (shade,) * 3
            style = Style(color=colour(screen, ink), bgcolor=colour(screen, ground))
            line.append(f"{text:>{width - 1}} ", style)
        screen.print(line)
    if found.divisor != 1:
        screen.print(f"  each divided by {found.divisor:g}")


command = Command(
    "kernels",
    __doc__,
    [
        options.Argument(
            "names",
            "A built-in kernel, a formula (gaussian:sigma=2), rows of numbers, or a kernel file, "
            "as for 'featcli convolve --kernel'. Without a name, all kernels are listed.",
            nargs=-1,
            metavar="[NAME]...",
            shell_complete=completions.kernels,
        ),
        options.as_json(),
    ],
    callback=_kernels,
    context_settings={"ignore_unknown_options": True},  # a kernel such as "-1 0 1"
)
