"""All commands with their arguments and options as data, for --json-usage and the man pages."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click

from featcli._version import __version__
from featcli.cli.command import Text
from featcli.cli.environment import VARIABLES
from featcli.cli.options import Argument, Option
from featcli.errors import EXIT_CODES


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
        "type": "flag" if param.is_flag else "count" if param.count else _type(param.type),
        "choices": list(declared.choices if declared else _choices(param.type)),
        "required": declared.required if declared else param.required,
        "several": param.multiple,
        "default": _plain(declared.default if declared else param.to_info_dict()["default"]),
        "variable": param.envvar,
        "help": param.help,
    }


def _type(kind: Any) -> str:
    names = {"integer range": "integer", "float range": "number", "float": "number"}
    return names.get(kind.name, kind.name)


def _choices(kind: Any) -> list[str]:
    return [str(one) for one in kind.choices] if isinstance(kind, click.Choice) else []


def _plain(value: Any) -> Any:
    """Return the value if JSON can represent it, otherwise None."""
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        return None
