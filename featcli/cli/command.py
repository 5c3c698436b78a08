"""Commands whose help has options under headings, and examples."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from featcli.cli.options import Argument, Option, debug
from featcli.cli.settings import Settings
from featcli.docstrings import docstring, sections
from featcli.errors import UsageError
from featcli.pipeline import Pipeline, make_step, suggestion
from featcli.stage import Param, Stage

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # which takes no parameter before Click 8.4

GROUPS = (
    "Arguments",
    "Options",
    "Table",
    "Search",
    "Vectors",
    "Model",
    "Input",
    "Output",
    "Batch",
    "Other",
)
_COLUMN = 24


class Command(click.Command):
    """A command whose help comes from a numpydoc docstring, with options under headings."""

    def __init__(
        self, name: str, doc: str | None, params: list[click.Parameter], **rest: Any
    ) -> None:
        texts = sections(doc or docstring(sys.modules[rest["callback"].__module__]))
        summary, _, prose = texts["Summary"].partition("\n\n")
        params = [*params, debug()]
        super().__init__(
            name, params=params, help=f"{summary}\n\n{prose}", short_help=summary, **rest
        )
        self.examples = texts.get("Examples", "")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an option that is given twice; Click would use the last value."""
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        for param in order:
            takes_one = isinstance(param, click.Option) and not (
                param.multiple or param.is_flag or param.count
            )
            if takes_one and order.count(param) > 1:
                raise click.UsageError(f"{max(param.opts, key=len)} is given twice", ctx)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the arguments, then the options group by group."""
        groups: dict[str, list[tuple[str, str]]] = {title: [] for title in GROUPS}
        for param in self.get_params(ctx):
            group, name, text = _described(param, ctx)
            groups.setdefault(group, []).append((name.ljust(_COLUMN), text))
        for title, rows in groups.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=_COLUMN)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples without wrapping, so that they can be copied."""
        if not self.examples:
            return
        with formatter.section("Examples"):
            for line in self.examples.splitlines():
                formatter.write(f"  {line}".rstrip() + "\n")


def _described(param: click.Parameter, ctx: click.Context) -> tuple[str, str, str]:
    """Return heading, name and text of a row of the help."""
    if isinstance(param, Argument):
        return "Arguments", param.make_metavar(ctx).strip("[]."), param.explanation
    name, text = param.get_help_record(ctx) or ("", "")
    return param.group if isinstance(param, Option) else "Other", name, text


class Text(_ParamType):
    """The type of a stage's parameter, parsed by the stage, as in a pipeline."""

    def __init__(self, param: Param) -> None:
        self.name = param.converter.metavar
        self.declared = param

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse text; raises click.BadParameter."""
        if not isinstance(value, str):
            return value
        try:
            return self.declared.parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete choices or kernels, otherwise files if the value can be a file."""
        from featcli.cli import completions

        return completions.values(ctx, param, incomplete)


def option(param: Param) -> click.Option:
    """Return the Click option of a stage's parameter."""
    names = [param.option, param.name] + ([param.short] if param.short else [])
    metavar = None if param.flag else param.converter.metavar
    return Option(
        *names,
        type=None if param.flag else Text(param),
        is_flag=param.flag or None,
        multiple=param.converter.many,
        metavar=metavar,
        help=param.help + _remark(param),
    )


def _remark(param: Param) -> str:
    if param.required:
        return "  [required]"
    if param.flag or param.default in (None, ""):
        return ""
    return f"  [default: {param.tag(param.default) or param.default}]"


def suggest_option(stage: Stage, inputs: Sequence[str]) -> str:
    """Return a hint if a word such as `size=2` was given in place of a file; otherwise ""."""
    missing = (word for word in inputs if not os.path.lexists(word))
    return next(filter(None, (suggestion(stage, word) for word in missing)), "")


def stage_command(
    stage: Stage,
    shared: list[click.Parameter],
    execute: Callable[[Pipeline, Settings, Stage], None],
) -> Command:
    """Return the command that runs a stage on its inputs.

    Parameters
    ----------
    stage : Stage
    shared : list of click.Parameter
        The parameters that all such commands have: inputs, outputs, batch.
    execute : callable
        `execute(pipeline, settings, stage)` runs the stage.
    """

    def callback(**values: Any) -> None:
        given = {param.name: values.pop(param.name) for param in stage.params}
        known = {name: value for name, value in given.items() if value not in (None, ())}
        try:
            step = make_step(stage, known)
        except ValueError as error:
            raise UsageError(f"{error}{suggest_option(stage, values['inputs'])}") from None
        execute(Pipeline([step]), Settings.take(values), stage)

    doc = "\n\n".join(
        [stage.doc["Summary"], "Examples\n--------\n" + stage.doc.get("Examples", "")]
    )
    params = [*map(option, stage.params), *shared]
    return Command(stage.name, doc, params, callback=callback)
