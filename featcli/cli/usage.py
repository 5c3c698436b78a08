"""All commands with their arguments and options as data, for --json-usage and the man pages."""

from __future__ import annotations

import inspect
import json
import math
from typing import Any

import click

from featcli._version import __version__
from featcli.cli.command import Text
from featcli.cli.environment import VARIABLES
from featcli.cli.options import Argument, Option
from featcli.errors import EXIT_CODES
from featcli.stage import Param, positive


def usage(root: click.Group) -> dict[str, Any]:
    """Return a description of the whole command line as JSON values."""
    context = click.Context(root, info_name="featcli")
    commands = (root.get_command(context, name) for name in root.list_commands(context))
    return {
        "name": "featcli",
        "version": __version__,
        "help": inspect.cleandoc(root.help or ""),
        "exit_codes": EXIT_CODES,
        "variables": VARIABLES,
        "options": [_option(one) for one in root.params if isinstance(one, click.Option)],
        "commands": [_command(command, context) for command in commands if command],
    }


def _command(command: click.Command, parent: click.Context) -> dict[str, Any]:
    context = click.Context(command, parent, info_name=command.name)
    params = command.params
    return {
        "name": command.name,
        "summary": command.short_help,
        "help": inspect.cleandoc(command.help or ""),
        "usage": " ".join(["featcli", command.name or "", *command.collect_usage_pieces(context)]),
        "arguments": [_argument(one, context) for one in params if isinstance(one, Argument)],
        "options": [_option(one) for one in params if isinstance(one, click.Option)],
        "examples": getattr(command, "examples", ""),
    }


def _argument(param: Argument, context: click.Context) -> dict[str, Any]:
    return {
        "name": param.name,
        "metavar": param.make_metavar(context).strip("[]."),
        "required": param.required,
        "several": param.nargs == -1,
        "help": param.explanation,
    }


def _option(param: click.Option) -> dict[str, Any]:
    declared = param.type.declared if isinstance(param.type, Text) else None
    return {
        "names": [*param.opts, *param.secondary_opts],
        "group": param.group if isinstance(param, Option) else "Other",
        "metavar": param.metavar,
        "type": _type(param, declared),
        "choices": list(declared.choices if declared else _choices(param.type)),
        "range": None if param.count else _range(param.type, declared),
        "required": declared.required if declared else param.required,
        "several": param.multiple,
        "default": _plain(declared.default if declared else param.to_info_dict()["default"]),
        "variable": param.envvar,
        "help": param.help,
    }


def _type(param: click.Option, declared: Param | None) -> str:
    """Return flag, count, choice, integer, number, path or text."""
    if param.is_flag or param.count:
        return "flag" if param.is_flag else "count"
    if declared:
        kinds = {"N": "integer", "X": "number", "FILE": "path"}
        return "choice" if declared.choices else kinds.get(declared.converter.metavar, "text")
    names = {"integer range": "integer", "whole number": "integer"}
    names |= {"float range": "number", "float": "number"}
    return names.get(param.type.name, param.type.name)


def _range(kind: Any, declared: Param | None) -> dict[str, float] | None:
    """Return the limits of a number, by their names in JSON Schema; None if it has none."""
    if declared:
        return {"minimum": 1} if declared.converter.parse is positive else None
    if not isinstance(kind, click.IntRange | click.FloatRange):
        return None
    limits = {"minimum": (kind.min, kind.min_open), "maximum": (kind.max, kind.max_open)}
    return {
        f"exclusive_{name}" if is_open else name: value
        for name, (value, is_open) in limits.items()
        if value is not None and math.isfinite(value)
    }


def _choices(kind: Any) -> list[str]:
    return [str(one) for one in kind.choices] if isinstance(kind, click.Choice) else []


def _plain(value: Any) -> Any:
    """Return the value if JSON can represent it, otherwise None."""
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        return None
